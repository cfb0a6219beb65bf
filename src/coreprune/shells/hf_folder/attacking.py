"""Inputs of a cut block on which it is far from the original."""

import torch
from torch import Generator, Tensor

from coreprune.core.attack import Ascent, attack_function
from coreprune.core.feed_forward import FeedForward, outputs
from coreprune.core.query_set import QuerySet
from coreprune.queries.normalised import Normalised

_DRAWN = 2048
_WORST = 8
"""Outputs from which ascents are started: those that changed most on the queries drawn."""
_ASCENT = Ascent(restarts=4, steps=40)


def block_attack(
    original: FeedForward,
    cut: FeedForward,
    *,
    law: Normalised,
    space: QuerySet,
    generator: Generator,
) -> float:
    """The largest change of an output that a search finds.

    Args:
        original: The block in float64.
        cut: The cut block.
        law: What the norm before it gives, for queries to begin with.
        space: All that the norm can give; ascents stay in it.
        generator: The source of randomness.

    Returns:
        A lower bound of what any certificate on the space must be.
    """

    def change(x: Tensor) -> Tensor:
        return outputs(original, x) - outputs(cut, x)

    seen = change(law.sample(_DRAWN, generator=generator)).abs().amax(0)
    worst = seen.topk(min(_WORST, len(seen))).indices

    def worst_change(x: Tensor) -> Tensor:
        return change(x)[:, worst]

    reached = attack_function(
        worst_change, space, num_outputs=len(worst), ascent=_ASCENT, generator=generator
    )
    return float(torch.maximum(reached.values.amax(), seen.amax()))
