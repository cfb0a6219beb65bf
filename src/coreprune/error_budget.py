"""A cut whose measured error stays below a target, which prices tell to first order alone."""

import math
from collections.abc import Callable

from coreprune.budget import Budget
from coreprune.cutting import Outcome, changed_by
from coreprune.fresh_calls import are_dear, draw_fresh
from coreprune.measured_error import output_change
from coreprune.progress import Progress
from coreprune.prospect import Prospect

NEAR = 1.05
"""How many times the target the measured error may be: what a thousand queries tell apart."""

ROUNDS = 3
"""Cuts that are tried."""


def cut_to_error(
    budget: Budget,
    prospect: Prospect,
    *,
    cut: Callable[[Budget], Outcome],
    seed: int,
    tell: Progress,
) -> Outcome:
    """Cut until the measured error is near the target, where queries to measure it on are quick.

    Args:
        budget: The error to stay below.
        prospect: The network and the law.
        cut: The network planned for an error.
        seed: Of queries that nothing else sees.
        tell: Called as (what, done, of).

    Returns:
        The cut; without measuring where queries are dear.
    """

    def measured(outcome: Outcome) -> float | None:
        subject = prospect.subject
        pruned = subject.with_tensors(changed_by(outcome, subject))
        change = output_change(subject, pruned, draw_fresh(prospect, seed=seed, tell=tell))
        return None if change is None else change.error

    if are_dear(prospect):
        return cut(budget)
    return nearest_below(budget, cut=cut, measured=measured)


def nearest_below(
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
        The first cut near enough to the target or below it, else the nearest of those that have a
        finite error; the first where that has none.

    Example:
        >>> tried = []
        >>> def cut(budget):
        ...     tried.append(round(budget.target, 3))
        ...     return budget.target
        >>> nearest_below(Budget(error=0.13), cut=cut, measured=lambda outcome: 1.3 * outcome)
        0.1
        >>> tried
        [0.13, 0.1]
    """
    planned = budget
    tried: list[tuple[float, Outcome]] = []
    while len(tried) < ROUNDS:
        outcome = cut(planned)
        error = measured(outcome)
        if error is None or not math.isfinite(error):
            break
        if error <= NEAR * budget.target:
            return outcome
        tried.append((error, outcome))
        planned = Budget(error=planned.target * budget.target / error)
    return min(tried, key=lambda each: each[0])[1] if tried else outcome
