"""Means over seeds, and whether a difference is more than their spread."""

import math
import statistics
from collections.abc import Sequence

# Two-sided 95 % quantiles of Student's t for 1, 2, … degrees of freedom.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def spread(values: Sequence[float]) -> float:
    """The standard deviation over the seeds, zero for a single one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def mean_spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± standard deviation.

    Example:
        >>> mean_spread([1.0, 2.0, 3.0])
        '2.00 ± 1.00'
    """
    return f"{statistics.mean(values):.{digits}f} ± {spread(values):.{digits}f}"


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of paired differences, by Student's t.

    Args:
        differences: One a seed, at most ten.

    Returns:
        Its two ends, infinite for a single difference.
    """
    mean, count = statistics.mean(differences), len(differences)
    if count == 1:
        return -math.inf, math.inf
    half = _STUDENT[count - 2] * spread(differences) / math.sqrt(count)
    return mean - half, mean + half


def verdict(differences: Sequence[float], *, lower: str, higher: str, neither: str) -> str:
    """Which of three statements the paired differences support.

    Args:
        differences: One a seed.
        lower: Said when the whole interval is below zero.
        higher: Said when it is above.
        neither: Said when zero is inside.

    Returns:
        The statement with the mean difference and its interval.

    Example:
        >>> verdict([1.0, 1.1, 0.9], lower="less", higher="more", neither="no telling")
        'more (+1.00, 95 % interval +0.75 to +1.25, 3 seeds)'
    """
    low, high = interval(differences)
    statement = lower if high < 0 else higher if low > 0 else neither
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{statement} ({mean:+.2f}, one seed)"
    return (
        f"{statement} ({mean:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}, "
        f"{len(differences)} seeds)"
    )
