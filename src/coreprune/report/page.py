"""What is on a page, in order, before it is markup."""

from collections.abc import Callable
from dataclasses import dataclass

WIDE, NARROW = 760, 340
"""Widths of a drawing, for a sheet and for a telephone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of the answer.

    Attributes:
        label: What it counts.
        value: What a reader remembers.
        detail: What that comes from.
    """

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chart:
    """A drawing that can be made at any width.

    Attributes:
        name: Of its file.
        title: What it shows, for those who cannot see it.
        caption: What it shows, in few words; an empty text where its section says so.
        draw: Gives its markup for a width.
    """

    name: str
    title: str
    draw: Callable[[int], str]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; all columns but the first ones hold numbers.

    Attributes:
        caption: What it lists.
        heads: Of the columns.
        rows: As long as the heads each.
        texts: How many columns at the left hold text.
        folded: Whether it is shown on request only.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        words: Its paragraphs.
        charts: Its drawings.
        tables: Its tables.
        entries: Names and what they stand for.
        code: Lines to copy.
        after: A paragraph below all that.
    """

    title: str
    words: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    entries: tuple[tuple[str, str], ...] = ()
    code: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """A report.

    Attributes:
        title: What was pruned and what is left of it.
        figures: The answer.
        words: The answer in sentences.
        sections: The rest.
    """

    title: str
    figures: tuple[Figure, ...]
    words: tuple[str, ...]
    sections: tuple[Section, ...]
