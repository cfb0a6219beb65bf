"""Queries on which two networks are compared: those that chose nothing, where a law draws them."""

from collections.abc import Iterator

from coreprune.laws.calls import drawn
from coreprune.progress import Progress
from coreprune.prospect import Prospect
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.impressions import Impressions
from coreprune.shells.calls import Call

MEASURED = 1024
"""How many there are where they are quick to draw."""


def are_dear(prospect: Prospect) -> bool:
    """Whether the queries of the law take long to make."""
    return isinstance(prospect.moments.law, BatchNormMatched | Impressions)


def draw_fresh(prospect: Prospect, *, seed: int, tell: Progress) -> Iterator[Call]:
    """Draw them; samples are those that the neurons were chosen on.

    Args:
        prospect: The network and the law.
        seed: Of their own.
        tell: Called as (what, done, of).

    Returns:
        The calls; of queries that are dear to make one batch.
    """
    examples = 1 if are_dear(prospect) else MEASURED
    return drawn(prospect.moments.law, prospect.subject, seed=seed, examples=examples, tell=tell)
