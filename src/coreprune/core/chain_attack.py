"""Queries on which two chains of layers are far apart, at the outputs and inside."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from coreprune.core.attack import Ascent, Attack, attack_function
from coreprune.core.chain import Link
from coreprune.core.chain_range import preactivations
from coreprune.core.query_set import QuerySet, draw, queries

RESTARTS, ROWS, PROBES = 12, 8, 256
"""Restarts for few outputs; neurons of a hidden layer that are tried, and probes to find them."""
_ASCENTS = 240  # of all outputs and signs together, from where on restarts become fewer


def output_attack(
    original: Sequence[Link], other: Sequence[Link], space: QuerySet, *, generator: Generator
) -> Attack:
    """Look for the largest |z_L − z̃_L| of every output.

    Args:
        original: Layers, first to last.
        other: Likewise, with as many outputs.
        space: The queries.
        generator: The source of randomness, on the CPU.

    Returns:
        The best found, in float64.
    """

    def change(x: Tensor) -> Tensor:
        return preactivations(original, x)[-1] - preactivations(other, x)[-1]

    k = len(original[-1].points)
    restarts = max(1, min(RESTARTS, _ASCENTS // (2 * k)))
    return attack_function(
        change, space, num_outputs=k, ascent=Ascent(restarts=restarts), generator=generator
    )


def hidden_attack(
    original: Sequence[Link],
    other: Sequence[Link],
    space: QuerySet,
    *,
    rows: tuple[Tensor, Tensor],
    generator: Generator,
) -> float:
    """Look for the largest change of any matched neuron of the chains' last layers.

    Args:
        original: Layers up to the one in question.
        other: Likewise.
        space: The queries.
        rows: The neurons of the one and those of the other that stand for them. Shapes (m,).
        generator: The source of randomness, on the CPU.

    Returns:
        The best found; only the neurons that change most on probes are tried.
    """

    def change(x: Tensor) -> Tensor:
        return (
            preactivations(original, x)[-1][:, rows[0]] - preactivations(other, x)[-1][:, rows[1]]
        )

    probes = change(queries(space, draw(space, PROBES, generator=generator))).abs().amax(0)
    tried = probes.topk(min(ROWS, len(probes))).indices
    found = attack_function(
        lambda x: change(x)[:, tried],
        space,
        num_outputs=len(tried),
        ascent=Ascent(restarts=4, steps=40),
        generator=generator,
    )
    return float(torch.stack([found.values.amax(), probes.amax()]).amax())  # NaN if either is
