"""What drawings of rows have in common: room for names."""

from collections.abc import Iterable, Sequence

LETTER = 7.4
"""The width of a letter in the widest of the usual typefaces."""

LEAST, MOST = 56, 220

TOP, ROW, HIGH_ROW = 34, 26, 46
"""Where the first row begins, below the key; heights of rows with their names beside and above."""


def label_width(names: Iterable[str]) -> int:
    """Room for the longest name, within bounds."""
    return int(min(max(LETTER * max(map(len, names)) + 14, LEAST), MOST))


def shortened(names: Sequence[str], room: float) -> list[str]:
    """Names that fit: without what all begin with, then without their middles, where need be."""
    most = max(8, int((room - 12) / LETTER))
    if max(map(len, names)) > most and len(names) > 1:
        parts = [name.split(".") for name in names]
        same = 0
        while all(len(own) > same + 1 and own[same] == parts[0][same] for own in parts):
            same += 1
        names = [f"…{'.'.join(own[same:])}" for own in parts] if same else names
    return [name if len(name) <= most else _without_middle(name, most) for name in names]


def _without_middle(name: str, most: int) -> str:
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"
