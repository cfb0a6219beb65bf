"""How far rounding can move a sum, a spectral norm, and a network that runs in short precision.

With unit roundoff u, a sum of products of m terms is off by at most γ_m = m u / (1 − m u) times the
sum of their magnitudes, in whatever order it is taken (Higham 2002, section 3.1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation, identity
from coreprune.core.neuron_sums import Block, NeuronSums
from coreprune.core.query_set import QuerySet, absolute_reach, pulled_back, reach

UNIT = 2.0**-53
"""u of float64."""

ACTIVATION_UNITS = 16
"""φ as evaluated is within this many u of |z| + |φ(z)| from φ: measured for the family."""

_IDENTITY = identity().function


def gamma(terms: int, unit: float = UNIT) -> float:
    """γ_m = m u / (1 − m u), infinite where m u ≥ 1.

    Example:
        >>> gamma(1000) < 1.2e-13
        True
    """
    product = terms * unit
    return product / (1 - product) if product < 1 else math.inf


def interval(points: Tensor, bias: Tensor, space: QuerySet) -> tuple[Tensor, Tensor]:
    """An interval that holds p_j·x + b_j for every query, ends rounded outwards.

    Args:
        points: p_j in float64. Shape (n, d).
        bias: b_j in float64. Shape (n,).
        space: The queries.

    Returns:
        Its low and high ends. Shapes (n,).
    """
    rows, shift = pulled_back(points, bias, space)
    slack = gamma(2 * points.shape[1] + 8) * (absolute_reach(points, space) + bias.abs())
    radius = reach(rows, space) + slack
    return shift - radius, shift + radius


def evaluation_error(
    sums: NeuronSums, space: QuerySet, *, dtype: torch.dtype, bias: Tensor | None = None
) -> Tensor:
    """How far sums evaluated in a short precision can be from their exact values, for any query.

        δ_j = γ_{d+1} (Σ_l |p_jl x_l| + |b_j|)
        η_j as `behind` tells
        |ŷ_i − y_i| ≤ γ_{n+2} (Σ_j |γ_ij| (|φ_j| + η_j) + |c_i|) + Σ_j |γ_ij| η_j

    each at its largest over the queries, plus the smallest normal number for every operation;
    infinite where a value may overflow.

    Args:
        sums: One network, its weights as stored.
        space: The queries, representable in `dtype`.
        dtype: The precision it runs in, without a shorter one inside (no TF32).
        bias: A further c_i that the sums are added to; counted with the offsets. Shape (k,).

    Returns:
        The bounds. Shape (k,).
    """
    unit = torch.finfo(dtype).eps / 2
    offsets = sums.offsets.abs() if bias is None else sums.offsets.abs() + bias.double().abs()
    total, moved, terms = offsets.clone(), torch.zeros_like(offsets), 2
    for block in sums.blocks:
        height, error = _neuron_error(block, space, dtype=dtype)
        magnitudes = block.weights.abs()
        total += magnitudes @ (height + error)
        moved += magnitudes @ error
        terms += len(block.points)
    finfo, up = torch.finfo(dtype), 1 + gamma(64 + terms)
    own = gamma(terms, unit) * total
    bound = (own + moved + finfo.tiny * terms) * up
    return torch.where((total + own) * up < finfo.max, bound, math.inf)


def _neuron_error(block: Block, space: QuerySet, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The largest |φ_j| and the largest error of φ_j as evaluated. Shapes (n,)."""
    finfo, d = torch.finfo(dtype), block.points.shape[1]
    unit = finfo.eps / 2
    size = absolute_reach(block.points, space) + block.bias.abs()
    delta = gamma(d + 1, unit) * size + (d + 1) * finfo.tiny * (1 + farthest(space))
    delta = torch.where((size + delta) * (1 + gamma(d + 8)) < finfo.max, delta, math.inf)
    ends, error = interval(block.points, block.bias, space), Deviation(entries=delta)
    least, greatest = block.activation.extent(ends[0] - delta, ends[1] + delta)
    height = torch.maximum(least.abs(), greatest.abs())
    return height, behind(block.activation, ends, error, dtype=dtype).entries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviation:
    """How far evaluated values can be from exact ones.

    Attributes:
        entries: Entry by entry. Shape (n,).
        norm: In Euclidean norm, infinite where unknown.
    """

    entries: Tensor
    norm: float = math.inf


def behind(
    activation: Activation, ends: tuple[Tensor, Tensor], error: Deviation, *, dtype: torch.dtype
) -> Deviation:
    """How far φ̂(ẑ) can be from φ(z), function by function where φ is a chain of several.

        η_j = min(L_j δ_j, range φ_j) + 16 u (max(1, L_j) (|z_j| + δ_j) + |φ_j| + a_j),

    a_j the activation's addends; a function that jumps has L_j = 1 in the second term, and the
    identity rounds nothing. Infinite where φ may overflow the type.

    Args:
        activation: φ.
        ends: An interval that holds z_j. Shapes (n,).
        error: δ, of ẑ from z.
        dtype: The precision φ is evaluated in.

    Returns:
        The bound.

    Example:
        >>> from coreprune.core.activations import relu
        >>> error = Deviation(entries=torch.full((1,), 0.25))
        >>> ends = torch.zeros(1), torch.ones(1)
        >>> behind(relu(), ends, error, dtype=torch.float64).entries.item()
        0.25...
    """
    finfo = torch.finfo(dtype)
    units = ACTIVATION_UNITS * finfo.eps / 2
    for stage in activation.stages or (activation,):
        if stage.function is _IDENTITY:
            continue
        delta = error.entries
        least, greatest = stage.extent(ends[0] - delta, ends[1] + delta)
        lipschitz = torch.as_tensor(stage.lipschitz, dtype=delta.dtype).expand(delta.shape)
        jumps = torch.isinf(lipschitz)
        slope = torch.where(jumps, 1.0, lipschitz.clamp_min(1.0))
        argument = slope * (torch.maximum(ends[0].abs(), ends[1].abs()) + delta)
        height = torch.maximum(least.abs(), greatest.abs())
        addends = torch.as_tensor(stage.addends, dtype=delta.dtype)
        own = units * (argument + height + addends) + finfo.tiny
        own = torch.where(height + own < finfo.max, own, math.inf)
        moved = torch.where(jumps, math.inf, lipschitz * delta)
        entries = torch.minimum(moved, greatest - least) + own
        entries = entries.nan_to_num(nan=math.inf, posinf=math.inf)
        norm = math.inf
        if math.isfinite(error.norm) and not jumps.any():
            norm = float(lipschitz.amax()) * error.norm + length(own)
        error = Deviation(entries=entries, norm=min(norm, length(entries)))
        ends = stage.extent(*ends)
    return error


def farthest(space: QuerySet) -> float:
    """At least max |x_l| over the queries."""
    axes = space.axes if space.axes.ndim == 1 else space.axes.abs().sum(1)
    return float((axes.abs() + space.centre.abs()).amax())


def length(vector: Tensor) -> float:
    """The Euclidean norm, rounded up."""
    return float(torch.linalg.vector_norm(vector)) * (1 + gamma(len(vector) + 8))
