"""How far a chain of layers that runs in a short precision can be from its exact values.

Let u be the unit roundoff, ẑ_l = fl(P_l ĥ_{l−1} + b_l) and ĥ_l = fl(φ_l(ẑ_l)) with ĥ_0 = x. Adding
and subtracting P_l ĥ_{l−1},

    ẑ_l − z_l = [fl(P_l ĥ_{l−1} + b_l) − (P_l ĥ_{l−1} + b_l)] + P_l (ĥ_{l−1} − h_{l−1}) .

The bracket is one dot product of d terms and a bias in any order,

    at most   ω_l = γ_{d+1+c} (|P_l| |ĥ_{l−1}| + β_l) + underflow,      |ĥ| ≤ |h| + η_{l−1},

where |P_l||h| is bounded over sets that hold every h_{l−1}, β_l = |b_l|, and c = 0. Where a
normalisation is folded into a layer, b_l is a sum of terms that may cancel: β_l is the sum of their
magnitudes and c the roundings of each of them. With η_l the error of ĥ_l (`rounding.behind`),

    δ_l ≤ ω_l + min(|P_l| η_{l−1}, ‖P_l‖_row ‖η_{l−1}‖₂),      ‖δ_l‖₂ ≤ ‖ω_l‖₂ + ‖P_l‖₂ ‖η_{l−1}‖₂ .

Sums are taken to be accumulated in the dtype itself: a wider accumulator only does better, a
shorter one (TF32, a cast inside) is not covered. In float16 and bfloat16 γ_m soon is infinite,
m u ≥ 1, and so is the bound; and it is where a value may overflow, also of what is evaluated before
a normalisation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.chain import Link, images, link_interval
from coreprune.core.elementwise import Activation
from coreprune.core.query_set import QuerySet, absolute_reach
from coreprune.core.rounding import Deviation, behind, farthest, gamma, length
from coreprune.core.spectral import norm_bound


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainRounding:
    """Bounds for every query, infinite where there is none.

    Attributes:
        layers: |ẑ_l − z_l| of every layer, first to last. Shapes (n_l,).
        outputs: The same behind the last activation. Shape (k,).
    """

    layers: tuple[Tensor, ...]
    outputs: Tensor


def chain_rounding(
    links: Sequence[Link],
    space: QuerySet,
    *,
    dtype: torch.dtype,
    ending: Activation | None = None,
) -> ChainRounding:
    """Bound what evaluating a chain in a short precision adds to its exact values.

    Args:
        links: The layers, first to last, their weights as stored.
        space: The queries, representable in `dtype`.
        dtype: The precision that everything runs in, without a shorter one inside.
        ending: What is applied to the last layer's values, None for nothing.

    Returns:
        The bounds.

    Raises:
        ArgumentError: When an activation overflows even in float64.

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.elementwise import identity
        >>> from coreprune.core.query_set import ball
        >>> links = [
        ...     Link(points=torch.eye(2), bias=torch.zeros(2), activation=relu()),
        ...     Link(points=torch.ones(1, 2), bias=torch.ones(1), activation=identity())]
        >>> space = ball(1.0, dimension=2)
        >>> found = chain_rounding(links, space, dtype=torch.float32)
        >>> 1e-7 < found.outputs.item() < 1e-5
        True
    """
    spaces, layers = [space], []
    incoming = Deviation(entries=torch.zeros(len(space.centre), dtype=torch.float64), norm=0.0)
    for link in links[:-1]:
        error = _summed(link, spaces, incoming, dtype=dtype, norm=True)
        layers.append(error.entries)
        incoming = behind(link.activation, link_interval(link, spaces), error, dtype=dtype)
        spaces = images(link, spaces)
    error = _summed(links[-1], spaces, incoming, dtype=dtype, norm=False)
    ends = link_interval(links[-1], spaces)
    outputs = error if ending is None else behind(ending, ends, error, dtype=dtype)
    return ChainRounding(layers=(*layers, error.entries), outputs=outputs.entries)


def _summed(
    link: Link, spaces: Sequence[QuerySet], incoming: Deviation, *, dtype: torch.dtype, norm: bool
) -> Deviation:
    """How far ẑ_l can be from z_l; whether its own norm counts, which takes longer."""
    finfo, points = torch.finfo(dtype), link.points.double()
    terms = points.shape[1] + 1 + link.roundings
    total, passed = _magnitude(link, spaces, incoming)
    largest = min(farthest(one) for one in spaces)
    own = gamma(terms, finfo.eps / 2) * total + terms * finfo.tiny * (1 + largest)
    up = 1 + gamma(2 * points.shape[1] + 64)
    entries = ((own + passed) * up).nan_to_num(nan=math.inf, posinf=math.inf)
    inside = [_magnitude(one, spaces, incoming)[0].amax() for one in link.inside]
    grown = up * (1 + gamma(terms, finfo.eps / 2))
    if not all(float(one) * grown < finfo.max for one in inside):
        entries = torch.full_like(entries, math.inf)
    entries = torch.where((total + own) * up < finfo.max, entries, math.inf)
    found = length(entries)
    if norm and 0 < incoming.norm < math.inf:
        found = min(found, (length(own) + norm_bound(points) * incoming.norm) * up)
    return Deviation(entries=entries, norm=found)


def _magnitude(
    link: Link, spaces: Sequence[QuerySet], incoming: Deviation
) -> tuple[Tensor, Tensor]:
    """At least |P_l| |ĥ_{l−1}| + β_l, and the part of it by which ĥ_{l−1} is off. Shapes (n,)."""
    points = link.points.double()
    size = link.bias.double().abs() if link.bias_size is None else link.bias_size.double()
    reached = torch.stack([absolute_reach(points, one) for one in spaces]).amin(0)
    rows: Tensor = torch.linalg.vector_norm(points, dim=1)
    passed = torch.minimum(points.abs() @ incoming.entries, rows * incoming.norm)
    return reached + passed + size, passed
