"""Queries around which two networks provably give the same class.

With D_c the rows e_c − e_i for all i ≠ c, D_c z_L are the margins of class c. Where on a ball
around x every margin of the original stays above what it can differ by from the other network's,

    inf D_c z_L > sup |D_c z_L − D_c z̃_L|     entry by entry,

both have all margins positive, so c is the class of both on the whole ball. Both sides are bounds
of chains whose last layer is D_c P_L.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from coreprune.core.chain import Link
from coreprune.core.chain_pair import pair_bound
from coreprune.core.chain_range import preactivations
from coreprune.core.query_set import ball


def decided(
    original: Sequence[Link],
    other: Sequence[Link],
    samples: Tensor,
    *,
    radius: float,
    generator: Generator,
) -> Tensor:
    """Whether the class is proven the same everywhere within the radius of each sample.

    Args:
        original: Layers, first to last; the class is the largest of at least two outputs.
        other: Likewise.
        samples: Shape (N, d).
        radius: ρ ≥ 0.
        generator: For the probes that match neurons.

    Returns:
        One flag a sample. Shape (N,).
    """
    samples = samples.double()
    classes = preactivations(original, samples)[-1].argmax(1)
    found = torch.zeros(len(samples), dtype=torch.bool)
    for row, (x, winner) in enumerate(zip(samples, classes.tolist(), strict=True)):
        first, second = (_margins(links, winner) for links in (original, other))
        space = ball(radius, centre=x)
        bound = pair_bound(first, second, space, effort=0.0, generator=generator)
        found[row] = bool((bound.low > bound.bound + _rounding(first, x)).all())
    return found


def _margins(links: Sequence[Link], winner: int) -> list[Link]:
    last = links[-1]
    others = [i for i in range(len(last.points)) if i != winner]
    points, bias = last.points.double(), last.bias.double()
    changed = replace(
        last, points=points[winner] - points[others], bias=bias[winner] - bias[others]
    )
    return [*links[:-1], changed]


def _rounding(links: Sequence[Link], x: Tensor) -> Tensor:
    """Above what forming the differences of rows can have rounded."""
    size = links[-1].points.abs().sum(1) + links[-1].bias.abs()
    return 1e-9 * size * (1 + x.abs().sum())
