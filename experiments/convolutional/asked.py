"""What was asked of pruned convolutional networks before they were measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of one size before it was measured: test accuracies in percent.

    Attributes:
        pruned: Floor and aim right after pruning; None where nothing was asked.
        repaired: The same after repair.
    """

    pruned: tuple[float | None, float | None]
    repaired: tuple[float | None, float | None]


ASKED = {
    ("ResNet-20", 0.75): Asked(pruned=(87.2, 89.0), repaired=(89.0, 90.0)),
    ("ResNet-20", 0.5): Asked(pruned=(70.0, 75.0), repaired=(79.0, 85.0)),
    ("ResNet-56", 0.5): Asked(pruned=(None, 88.0), repaired=(None, None)),
    ("VGG-16", 0.8): Asked(pruned=(80.0, 89.7), repaired=(86.0, 90.5)),
    ("VGG-16", 0.6): Asked(pruned=(60.0, 86.0), repaired=(75.0, 89.0)),
}


def compared(wanted: tuple[float | None, float | None], got: float | None) -> list[str]:
    """Three cells of a table.

    Args:
        wanted: Floor and aim.
        got: What came of it; None where it was not measured.

    Returns:
        Floor, aim, and what was measured with a verdict.

    Example:
        >>> compared((70.0, 75.0), 71.0)
        ['70.0', '75.0', '71.00, floor met']
    """
    floor, aim = wanted
    cells = ["–" if value is None else f"{value:.1f}" for value in wanted]
    if got is None:
        return [*cells, "–"]
    if aim is not None and got >= aim:
        said = ", aim met"
    elif floor is not None:
        said = ", floor met" if got >= floor else ", below the floor"
    else:
        said = "" if aim is None else ", below the aim"
    return [*cells, f"{got:.2f}{said}"]
