"""What drawings of rows have in common: room for names."""

from collections.abc import Iterable

LETTER = 7.4
"""The width of a letter in the widest of the usual typefaces."""

LEAST, MOST = 56, 220

TOP, ROW, HIGH_ROW = 34, 26, 46
"""Where the first row begins, below the key; heights of rows with their names beside and above."""


def label_width(names: Iterable[str]) -> int:
    """Room for the longest name, within bounds."""
    return int(min(max(LETTER * max(map(len, names)) + 14, LEAST), MOST))


def shortened(name: str, room: float) -> str:
    """A name with its middle left out where it does not fit."""
    most = max(5, int((room - 12) / LETTER))
    if len(name) <= most:
        return name
    tail = (most - 1) * 2 // 3
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"
