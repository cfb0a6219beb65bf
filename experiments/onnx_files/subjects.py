"""The files, what stands for an input of each, and how what is left of each is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np

from coreprune import Gaussian
from experiments.onnx_files import readers, text
from experiments.onnx_files.packages import MAGIKA, RAPIDOCR, SILERO, Package, file_of

_SOUNDS = ("tests/data/test.wav", "examples/c++/aepyx.wav")
_SILERO = "silero_vad-6.2.3/src/silero_vad/data/"
_RAPIDOCR = "rapidocr_onnxruntime/models/"
_MAGIKA = "magika/models/standard_v3_3/"
_KINDS = {
    "README.md": "markdown",
    "Makefile": "makefile",
    "pyproject.toml": "toml",
    "scripts/check": "shell",
    "src/coreprune/cli.py": "python",
}
"""What some files of this repository are."""
_EDGE = 4
"""Rapidocr's classifier of lines looks at pictures four times as wide as high."""

Scores = dict[str, float]
Judge = Callable[[Path, Path], Scores]
"""What the second file is worth, beside the first, the original."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A file of others.

    Attributes:
        name: What it is called here.
        package: The release that it is in.
        member: Where in that it is.
        judge: What a pruned file is worth; None where nothing can be pruned.
        shape: Of an input; None takes what the file declares.
        told: A law that somebody who knows what inputs are like would name, tried as well.
    """

    name: str
    package: Package
    member: str
    judge: Judge | None
    shape: tuple[int, ...] | None = None
    told: Gaussian | None = None

    def path(self, *, fetch: bool = True) -> Path:
        """The file itself."""
        return file_of(self.package, self.member, fetch=fetch)


def heard(original: Path, small: Path) -> Scores:
    """Frames of real speech on the same side of one half, and how far probabilities are off."""
    sounds = tuple(file_of(SILERO, f"silero_vad-6.2.3/{sound}") for sound in _SOUNDS)
    before, after = _kept(readers.speech, original, sounds), readers.speech(small, sounds)
    return {
        "frames": len(before),
        "decided alike": float(((before > 0.5) == (after > 0.5)).mean()),
        "mean difference": float(np.abs(before - after).mean()),
    }


def found(original: Path, small: Path) -> Scores:
    """Intersection over union of the pixels that are text to both."""
    names = {"photograph": text.PAGE, "handwriting": text.HANDWRITING}
    pictures = [*map(text.picture, names.values()), text.typeset_page()]
    masks = zip(
        readers.text_masks(original, pictures), readers.text_masks(small, pictures), strict=True
    )
    return {
        name: float((one & other).sum() / max(1, (one | other).sum()))
        for name, (one, other) in zip([*names, "typeset"], masks, strict=True)
    }


def read(original: Path, small: Path) -> Scores:
    """Letters right by the words that are known, and by what the original reads."""
    scores: Scores = {}
    for name, lines in (("photograph", text.printed()), ("typeset", text.typeset())):
        pixels = [line.pixels for line in lines]
        before, after = (readers.read_lines(path, pixels) for path in (original, small))
        words = [line.words for line in lines]
        scores[name] = _right(words, after)
        scores[f"{name}, as the original"] = _right(before, after)
    return scores


def turned(original: Path, small: Path) -> Scores:
    """Lines of which it says rightly whether they are upside down, and as the original does."""
    lines = [line.pixels for line in (*text.printed(), *text.typeset())]
    upright = [pixels[:, : _EDGE * len(pixels)] for pixels in lines]
    both = [*upright, *(pixels[::-1, ::-1] for pixels in upright)]
    before, after = (readers.upside_down(path, both) > 0.5 for path in (original, small))
    truth = np.arange(len(both)) >= len(upright)
    return {
        "lines": len(both),
        "right": _share(list(truth), list(after)),
        "as the original": _share(list(before), list(after)),
    }


def named(original: Path, small: Path) -> Scores:
    """Files of this repository that get the right label, and the original's."""
    root = Path(__file__).parents[2]
    contents = [(root / member).read_bytes() for member in _KINDS]
    file_of(MAGIKA, f"{_MAGIKA}config.min.json")
    before, after = (readers.kinds(path, contents) for path in (original, small))
    return {
        "files": len(after),
        "right": _share(list(_KINDS.values()), after),
        "as the original": _share(before, after),
    }


SUBJECTS = (
    Subject(
        name="silero-vad, sequence",
        package=SILERO,
        member=f"{_SILERO}silero_vad_16k_sequence.onnx",
        judge=heard,
        told=Gaussian(deviation=0.05),  # about as loud as speech is recorded
    ),
    Subject(
        name="rapidocr, detection",
        package=RAPIDOCR,
        member=f"{_RAPIDOCR}ch_PP-OCRv4_det_infer.onnx",
        judge=found,
        shape=(1, 3, 64, 64),
    ),
    Subject(
        name="rapidocr, recognition",
        package=RAPIDOCR,
        member=f"{_RAPIDOCR}ch_PP-OCRv4_rec_infer.onnx",
        judge=read,
        shape=(1, 3, 48, 48),
    ),
    Subject(
        name="rapidocr, classification",
        package=RAPIDOCR,
        member=f"{_RAPIDOCR}ch_ppocr_mobile_v2.0_cls_infer.onnx",
        judge=turned,
        shape=(1, 3, 48, 48),
    ),
    Subject(
        name="silero-vad, streaming",
        package=SILERO,
        member=f"{_SILERO}silero_vad.onnx",
        judge=None,
    ),
    Subject(name="magika", package=MAGIKA, member=f"{_MAGIKA}model.onnx", judge=named),
)


def _share(left: Sequence[object], right: Sequence[object]) -> float:
    return float(sum(map(eq, left, right)) / len(left))


def _right(words: Sequence[str], read: Sequence[str]) -> float:
    """1 less the distance in letters, as a share of the letters that are meant; at least 0."""
    wrong = sum(text.distance(one, other) for one, other in zip(words, read, strict=True))
    return max(0.0, 1 - wrong / max(1, sum(map(len, words))))


@cache
def _kept(reader: Callable[..., Any], path: Path, inputs: tuple[Path, ...]) -> Any:  # noqa: ANN401
    return reader(path, inputs)
