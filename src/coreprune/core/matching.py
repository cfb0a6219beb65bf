"""Which neuron of one chain stands for which of the other: a guess that no proof relies on."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from coreprune.core.chain import Link, Stage
from coreprune.core.chain_range import preactivations
from coreprune.core.elementwise import Activation
from coreprune.core.query_set import QuerySet, draw, queries

PROBES = 256
"""Queries on which neurons are compared."""


def matched_stages(
    original: Sequence[Link], other: Sequence[Link], space: QuerySet, *, generator: Generator
) -> tuple[Stage, ...] | None:
    """Both chains as stages of a `chain_bound`.

    Every neuron of the other chain is given the original's whose pre-activation is nearest on
    probes from the space, no two the same; neurons with equal rows are at distance zero. A
    `chain_bound` counts all that the two differ by, so it holds for every such choice.

    Args:
        original: Layers, first to last.
        other: As many, each hidden one no wider than the original's.
        space: The queries of both.
        generator: The source of randomness, on the CPU.

    Returns:
        The stages, or None where there is no such choice: other depths or wider layers, or
        activations that differ.
    """
    widths = zip(original, other, strict=False)
    if len(original) != len(other) or any(len(a.points) < len(b.points) for a, b in widths):
        return None
    x = queries(space, draw(space, PROBES, generator=generator))
    seen = list(zip(preactivations(original, x), preactivations(other, x), strict=True))
    everything = torch.arange(len(original[-1].points))
    kept = [injection(_distances(z, small)) for z, small in seen[:-1]] + [everything]
    return stages_along(original, other, kept)


def matched(
    one: Sequence[Link], other: Sequence[Link], space: QuerySet, *, generator: Generator
) -> tuple[Stage, ...] | None:
    """As `matched_stages`, the wider chain for the original: a difference has no direction."""
    pair = (other, one) if is_wider(other, one) else (one, other)
    return matched_stages(*pair, space, generator=generator)


def is_wider(one: Sequence[Link], other: Sequence[Link]) -> bool:
    """Whether one chain has more neurons than the other."""
    return sum(len(link.points) for link in one) > sum(len(link.points) for link in other)


def stages_along(
    original: Sequence[Link], other: Sequence[Link], kept: Sequence[Tensor]
) -> tuple[Stage, ...] | None:
    """Both chains as stages, where it is known which neurons stand for which.

    Args:
        original: Layers, first to last.
        other: As many.
        kept: The original's neurons for those of the other, layer by layer, no two the same.

    Returns:
        The stages, or None where activations differ.
    """
    pairs = list(zip(original, other, kept, strict=True))
    if not all(agree(a, b, chosen) for a, b, chosen in pairs):
        return None
    return tuple(
        Stage(
            points=a.points,
            bias=a.bias,
            activation=a.activation,
            kept=chosen,
            new_points=b.points,
            new_bias=b.bias,
        )
        for a, b, chosen in pairs
    )


def injection(distances: Tensor) -> Tensor:
    """A column for every row, no two the same: the nearest first.

    Args:
        distances: Shape (m, n), m ≤ n.

    Returns:
        Columns. Shape (m,).

    Example:
        >>> injection(torch.tensor([[0.5, 2.0, 9.0], [0.1, 3.0, 4.0]])).tolist()
        [1, 0]
    """
    left = distances.double().nan_to_num(nan=1e300).clone()
    chosen = torch.full((len(left),), -1, dtype=torch.int64)
    while len(rows := (chosen < 0).nonzero()[:, 0]):
        values, wanted = left[rows].min(1)
        taken: set[int] = set()
        for place in values.argsort(stable=True).tolist():
            column = int(wanted[place])
            if column not in taken:
                taken.add(column)
                chosen[rows[place]] = column
        left[:, list(taken)] = torch.inf
    return chosen


def _distances(z: Tensor, small: Tensor) -> Tensor:
    """Between neurons of the small chain and of the large one, exact where they agree. (m, n)."""
    return torch.cdist(small.T, z.T, compute_mode="donot_use_mm_for_euclid_dist")


def agree(one: Link, other: Link, kept: Tensor) -> bool:
    """Whether φ of the kept neurons is the other's φ, by name and at points of every size."""
    if one.activation.name != other.activation.name:
        return False
    wide, narrow = (traced(link.activation, width=len(link.points)) for link in (one, other))
    return torch.equal(wide[:, kept], narrow)


def traced(activation: Activation, *, width: int) -> Tensor:
    """φ at points of every size, by which functions are compared. Shape (195, width)."""
    powers = torch.logspace(-12, 12, 97, base=2.0, dtype=torch.float64)
    grid = torch.cat([-powers, torch.zeros(1, dtype=torch.float64), powers])[:, None]
    return activation(grid.expand(-1, width))
