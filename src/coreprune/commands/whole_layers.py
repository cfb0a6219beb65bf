"""Layers that stay whole: in the table where they are few, else together below it."""

from collections.abc import Iterable
from dataclasses import dataclass

from coreprune.commands.option_words import IN_NOTES, in_options

MANY = 3
"""More layers than this with one reason are told in one sentence: rows of them bury the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLayers:
    """What a command says of them.

    Attributes:
        rows: Name and reason of each that has a row.
        sentences: Of all others.
    """

    rows: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]


def whole_layers(entries: Iterable[tuple[str, str]]) -> WholeLayers:
    """Put layers with the same reason together.

    Args:
        entries: Names and reasons.

    Returns:
        What to say.

    Example:
        >>> whole_layers([("a", "no"), ("b", "no"), ("c", "no"), ("d", "no")]).sentences
        ('4 stay whole (no): a, b, c, d',)
    """
    told = [(name, in_options(reason, IN_NOTES)) for name, reason in entries]
    named: dict[str, list[str]] = {}
    for name, reason in told:
        named.setdefault(reason, []).append(name)
    return WholeLayers(
        rows=tuple((name, reason) for name, reason in told if len(named[reason]) <= MANY),
        sentences=tuple(
            f"{len(names)} stay whole ({reason}): {', '.join(names)}"
            for reason, names in named.items()
            if len(names) > MANY
        ),
    )
