"""Pictures of text: a photograph of a printed page, and sentences set in fonts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiments.onnx_files.packages import PICTURES, file_of

Pixels = np.ndarray
"""Grey levels from 0 to 255. Shape (height, width)."""

PAGE = "skimage/data/page.png"
HANDWRITING = "skimage/data/text.png"
_PRINTED = (
    ("Region-based segmentation", (4, 10, 298, 35)),
    ("Let us first determine markers of the coins and the", (3, 48, 380, 66)),
    ("background. These markers are pixels that we can label", (3, 65, 380, 84)),
    ("unambiguously as either object or background. Here,", (3, 84, 380, 102)),
    ("the markers are found at the two extreme parts of the", (3, 100, 380, 119)),
    ("histogram of grey values:", (3, 117, 175, 136)),
    (">>> markers = np.zeros_like(coins)", (16, 167, 243, 190)),
)
"""The lines of the photographed page and where they are: left, top, right, bottom."""
_SENTENCES = (
    "Whereas recognition of the inherent dignity and of the",
    "equal and inalienable rights of all members of the human",
    "family is the foundation of freedom, justice and peace",
    "All human beings are born free and equal in dignity",
    "Everyone has the right to life, liberty and security",
    "No one shall be held in slavery or servitude",
    "Article 27 (1948): share in scientific advancement",
)
"""Of the Universal Declaration of Human Rights."""
_FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono")
"""Matplotlib brings them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """A line of text.

    Attributes:
        words: What it says.
        pixels: Its picture.
    """

    words: str
    pixels: Pixels


def picture(member: str, *, fetch: bool = True) -> Pixels:
    """A photograph of scikit-image."""
    with Image.open(file_of(PICTURES, member, fetch=fetch)) as image:
        return np.asarray(image.convert("L"))


def printed(*, fetch: bool = True) -> list[Line]:
    """The lines of the photographed page."""
    page = picture(PAGE, fetch=fetch)
    return [
        Line(words=words, pixels=page[top:bottom, left:right])
        for words, (left, top, right, bottom) in _PRINTED
    ]


def typeset(count: int | None = None) -> list[Line]:
    """Sentences in three fonts, black on white.

    Args:
        count: How many of them; None for all.
    """
    pairs = [(words, name) for name in _FONTS for words in _SENTENCES]
    return [Line(words=words, pixels=_drawn([words], name)) for words, name in pairs[:count]]


def typeset_page() -> Pixels:
    """All sentences below each other."""
    return _drawn(_SENTENCES, _FONTS[0])


def _drawn(lines: Sequence[str], name: str, *, size: int = 32) -> Pixels:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    font = ImageFont.truetype(str(path), size)
    width = max(int(font.getlength(line)) for line in lines)
    image = Image.new("L", (width + size, len(lines) * 2 * size), 255)
    for row, line in enumerate(lines):
        ImageDraw.Draw(image).text((size // 2, (2 * row + 0.4) * size), line, 0, font)
    return np.asarray(image)


def distance(left: Sequence[object], right: Sequence[object]) -> int:
    """Levenshtein's: the least number of insertions, removals and replacements.

    Example:
        >>> distance("kitten", "sitting")
        3
    """
    row = list(range(len(right) + 1))
    for place, one in enumerate(left, start=1):
        before, row[0] = row[0], place
        for column, other in enumerate(right, start=1):
            changed = before + (one != other)
            before, row[column] = row[column], min(changed, row[column] + 1, row[column - 1] + 1)
    return row[-1]
