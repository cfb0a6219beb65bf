"""A cut whose measured error stays below a target, which prices tell to first order alone."""

from collections.abc import Callable

from coreprune.budget import Budget
from coreprune.cutting import Outcome

NEAR = 1.05
"""How many times the target the measured error may be: what a thousand queries tell apart."""

ROUNDS = 3
"""Cuts that are tried."""


def cut_to_error(
    budget: Budget,
    *,
    cut: Callable[[Budget], Outcome],
    measured: Callable[[Outcome], float | None],
) -> Outcome:
    """Cut to the widths that prices tell; where the error exceeds the target, cut less and again.

    Each further cut is planned for the last plan's error times target over measured.

    Args:
        budget: The error to stay below.
        cut: The network planned for an error.
        measured: Its error; None where it has none.

    Returns:
        The first cut near enough to the target or below it, else the nearest.

    Example:
        >>> tried = []
        >>> def cut(budget):
        ...     tried.append(round(budget.target, 3))
        ...     return budget.target
        >>> cut_to_error(Budget(error=0.13), cut=cut, measured=lambda outcome: 1.3 * outcome)
        0.1
        >>> tried
        [0.13, 0.1]
    """
    planned = budget
    tried: list[tuple[float, Outcome]] = []
    while len(tried) < ROUNDS:
        outcome = cut(planned)
        error = measured(outcome)
        if error is None or not NEAR * budget.target < error < float("inf"):
            return outcome
        tried.append((error, outcome))
        planned = Budget(error=planned.target * budget.target / error)
    return min(tried, key=lambda each: each[0])[1]
