"""How far rounding can move a sum, a spectral norm, and a network that runs in short precision.

With unit roundoff u, a sum of products of m terms is off by at most γ_m = m u / (1 − m u) times the
sum of their magnitudes, in whatever order it is taken (Higham 2002, section 3.1).
"""

import math

import torch
from torch import Tensor

from coreprune.core.neuron_sums import Block, NeuronSums
from coreprune.core.query_set import QuerySet, absolute_reach, pulled_back, reach

UNIT = 2.0**-53
"""u of float64."""

ACTIVATION_UNITS = 16
"""φ as evaluated is within this many u of |z| + |φ(z)| from φ: measured for the family."""


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
        η_j = min(L_j δ_j, range φ_j) + 16 u (|z_j| + |φ_j|)
        |ŷ_i − y_i| ≤ γ_{n+2} (Σ_j |γ_ij| (|φ_j| + η_j) + |c_i|) + Σ_j |γ_ij| η_j

    each at its largest over the queries, plus the smallest normal number for every operation.

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
    tiny = torch.finfo(dtype).tiny * terms
    return (gamma(terms, unit) * total + moved + tiny) * (1 + gamma(64 + terms))


def _neuron_error(block: Block, space: QuerySet, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The largest |φ_j| and the largest error of φ_j as evaluated. Shapes (n,)."""
    finfo, d = torch.finfo(dtype), block.points.shape[1]
    unit = finfo.eps / 2
    size = absolute_reach(block.points, space) + block.bias.abs()
    delta = gamma(d + 1, unit) * size + (d + 1) * finfo.tiny * (1 + space.axes.abs().amax())
    low, high = interval(block.points, block.bias, space)
    least, greatest = block.activation.extent(low - delta, high + delta)
    height = torch.maximum(least.abs(), greatest.abs())
    lipschitz = torch.as_tensor(block.activation.lipschitz, dtype=delta.dtype, device=delta.device)
    jump = greatest - least
    smooth = torch.where(torch.isinf(lipschitz), jump, lipschitz * delta)
    own = ACTIVATION_UNITS * unit * (torch.maximum(low.abs(), high.abs()) + delta + height)
    return height, torch.minimum(smooth, jump) + own + finfo.tiny
