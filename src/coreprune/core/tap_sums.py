"""Sums over taps, some of which read zeros where a patch reaches beyond the border of its map.

With V the taps that lie in the map, for one of several V,

    r_i(x) = Σ_{t ∈ V} r_it(x) + γ_i0 ,        r_it(x) = Σ_j γ_ijt φ_j(p_jt·x + b_j) + o_it ,

and a bound must hold for every V: a tap outside adds nothing, not what φ gives for zeros.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.certificate import certificate
from coreprune.core.neuron_sums import NeuronSums, neuron_sums
from coreprune.core.query_set import QuerySet
from coreprune.core.rounding import gamma


def _offsets(taps: Sequence[NeuronSums], pattern: Tensor, offsets: Tensor) -> Tensor:
    """γ_i0 and the constants of the taps of one pattern. Shape (terms, k)."""
    inside = [tap.offsets for tap, valid in zip(taps, pattern.tolist(), strict=True) if valid]
    return torch.stack([offsets.double(), *inside])


def restricted(taps: Sequence[NeuronSums], pattern: Tensor, offsets: Tensor) -> NeuronSums:
    """The sums over the taps of one pattern.

    Args:
        taps: r_it, tap by tap, all of the same queries.
        pattern: Which taps are in V; at least one. Shape (T,).
        offsets: γ_i0. Shape (k,).

    Returns:
        r for this V.
    """
    inside = [tap for tap, valid in zip(taps, pattern.tolist(), strict=True) if valid]
    blocks = [block for tap in inside for block in tap.blocks]
    return neuron_sums(blocks, _offsets(taps, pattern, offsets).sum(0))


def joint_bounds(
    taps: Sequence[NeuronSums],
    space: QuerySet,
    *,
    patterns: Tensor,
    offsets: Tensor,
    effort: float | None = 0.0,
) -> Tensor:
    """Bound |r_i| for every pattern and query, taps seen together.

    Args:
        taps: r_it, tap by tap, all of the same queries.
        space: The queries.
        patterns: The sets V. Shape (P, T).
        offsets: γ_i0. Shape (k,).
        effort: Of the certificate of each pattern.

    Returns:
        The bounds, rounding of the constants' sums included. Shape (P, k).

    Raises:
        ArgumentError: When an activation overflows on the space.

    Example:
        >>> from coreprune.core.elementwise import identity
        >>> from coreprune.core.neuron_sums import Block
        >>> from coreprune.core.query_set import ball
        >>> left, right = (neuron_sums([Block(points=row[None], bias=torch.zeros(1),
        ...     activation=identity(), weights=torch.ones(1, 1))], torch.zeros(1))
        ...     for row in torch.eye(2))
        >>> patterns = torch.tensor([[True, True], [True, False]])
        >>> space = ball(1.0, dimension=2)
        >>> found = joint_bounds([left, right], space, patterns=patterns, offsets=torch.zeros(1))
        >>> [round(bound, 2) for bound in found[:, 0].tolist()]
        [1.41, 1.0]
    """
    bounds = [
        certificate(
            restricted(taps, pattern, offsets),
            space,
            effort=effort,
            slack=gamma(len(taps) + 1) * _offsets(taps, pattern, offsets).abs().sum(0),
        ).bound
        if pattern.any()
        else offsets.double().abs()
        for pattern in patterns
    ]
    return torch.stack(bounds)


def separate_bounds(lower: Tensor, upper: Tensor, *, patterns: Tensor, offsets: Tensor) -> Tensor:
    """Bound |r_i| for every pattern from bounds of every tap for itself.

    Args:
        lower: Lower bounds of r_it. Shape (k, T).
        upper: Upper bounds of r_it. Shape (k, T).
        patterns: The sets V. Shape (P, T).
        offsets: γ_i0. Shape (k,).

    Returns:
        The bounds, rounded up. Shape (P, k).

    Example:
        >>> one, two = torch.tensor([True, False]), torch.tensor([True, True])
        >>> separate_bounds(torch.tensor([[0.0, -5.0]]), torch.tensor([[1.0, 1.0]]),
        ...     patterns=torch.stack([one, two]), offsets=torch.tensor([1.0]))[:, 0].tolist()
        [2.0..., 4.0...]
    """
    chosen, offsets = patterns.double(), offsets.double()
    least, greatest = (chosen @ ends.double().T + offsets for ends in (lower, upper))
    sizes = chosen @ torch.maximum(lower.abs(), upper.abs()).double().T + offsets.abs()
    slack = gamma(patterns.shape[1] + 8) * sizes
    return torch.maximum(greatest, -least).clamp_min(0) + slack
