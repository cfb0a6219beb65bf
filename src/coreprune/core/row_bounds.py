"""Bounds of every sum at once, from a few products of matrices and two spectral norms.

With r_i = C_i + A_i·v + Σ_j g_ij e_j, where C_i = γ_i0 + Σ_j γ_ij (a_j s_j + o_j), g_ij = γ_ij κ_j
and A_i = Σ_j γ_ij a_j R_j, and ‖·‖* the dual norm of the unit set,

    triangle    γ_i0 + Σ_j max γ_ij φ_j
    linear      C_i + ‖A_i‖* + Σ_j max g_ij e_j
    spectral    C_i + ‖A_i‖* + √(Σ_j g_ij² t_j) · sup √(Σ_j y_j² / t_j) + Σ_others max g_ij e_j

the sums of the third over the neurons with g_ij e_j ≤ |g_ij| |y_j| and over the others, for fixed
weights t > 0 shared by all i.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from coreprune.core.neuron_sums import NeuronSums
from coreprune.core.query_set import QuerySet, reach
from coreprune.core.remainders import Remainders, remainder_ends
from coreprune.core.rounding import ACTIVATION_UNITS, UNIT, gamma
from coreprune.core.spectral import norm_bound

Proof = Literal["triangle", "linear", "spectral", "joint"]
PROOFS: tuple[Proof, ...] = ("triangle", "linear", "spectral", "joint")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowBounds:
    """Upper bounds of sup r_i and of sup −r_i.

    Attributes:
        values: Sums first, negated sums after. Shape (2k,).
        proofs: Which of `PROOFS` gave each. Shape (2k,).
        norm: An upper bound of sup ‖r‖₂.
    """

    values: Tensor
    proofs: Tensor
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignedSums:
    """±r_i over the unit set, split into a constant, a line and remainders; m = 2k.

    Attributes:
        constant: ±C_i. Shape (m,).
        line: ±A_i. Shape (m, e).
        gains: ±g_ij. Shape (m, n).
        coned: Where g_ij e_j ≤ |g_ij| |y_j|. Shape (m, n).
        capped: max g_ij e_j. Shape (m, n).
        triangle: The triangle bound. Shape (m,).
        slack: What rounding in float64 can take from any bound of r_i. Shape (m,).
    """

    constant: Tensor
    line: Tensor
    gains: Tensor
    coned: Tensor
    capped: Tensor
    triangle: Tensor
    slack: Tensor


def signed_sums(sums: NeuronSums, neurons: Remainders, space: QuerySet) -> SignedSums:
    """Split every sum and its negative.

    Args:
        sums: The sums, for their offsets.
        neurons: Their neurons over the unit set.
        space: The queries.

    Returns:
        The parts.
    """
    w, offsets = neurons.weights, sums.offsets
    constant = offsets + w @ (neurons.slope * neurons.shift + neurons.offset)
    line = (w * neurons.slope) @ neurons.rows
    gains = w * neurons.scale
    bottom, top = remainder_ends(neurons)
    both = torch.cat([gains, -gains])
    signed = torch.cat([w, -w])
    return SignedSums(
        constant=torch.cat([constant, -constant]),
        line=torch.cat([line, -line]),
        gains=both,
        coned=~neurons.flat & ((both > 0) | neurons.odd),
        capped=_largest(both, bottom, top),
        triangle=torch.cat([offsets, -offsets])
        + _largest(signed, neurons.least, neurons.greatest).sum(1),
        slack=_slack(sums, neurons, space).repeat(2),
    )


def row_bounds(parts: SignedSums, neurons: Remainders, space: QuerySet) -> RowBounds:
    """The best of the three bounds for each sum, and one for their Euclidean norm.

    Args:
        parts: The signed sums.
        neurons: Their neurons.
        space: The queries.

    Returns:
        Sound bounds.
    """
    straight = parts.constant + reach(parts.line, space)
    rest = torch.where(parts.coned, 0.0, parts.capped).sum(1)
    heavy = torch.where(parts.coned, parts.gains, 0.0)
    ways = [torch.ones_like(neurons.shift), _lengths(neurons, space)]
    lengths = [_weighted_length(neurons, space, t) for t in ways]
    spectral = torch.stack([
        straight + rest + torch.linalg.vector_norm(heavy * t.sqrt(), dim=1) * length
        for t, length in zip(ways, lengths, strict=True)
    ])  # fmt: skip
    candidates = torch.stack([
        parts.triangle, straight + parts.capped.sum(1), spectral.amin(0)
    ])  # fmt: skip
    values, proofs = candidates.min(0)
    values += parts.slack
    k = len(values) // 2
    peaks = torch.maximum(values[:k], values[k:])
    norms = [
        _norm(parts, neurons, space, weighting=(t, length))
        for t, length in zip(ways, lengths, strict=True)
    ]
    return RowBounds(
        values=values,
        proofs=proofs,
        norm=min(*norms, float(torch.linalg.vector_norm(peaks)) * (1 + gamma(k + 8))),
    )


def best_of(one: RowBounds, other: RowBounds) -> RowBounds:
    """The better of two bounds of the same sums, one by one."""
    return RowBounds(
        values=torch.minimum(one.values, other.values),
        proofs=torch.where(other.values < one.values, other.proofs, one.proofs),
        norm=min(one.norm, other.norm),
    )


def _largest(factors: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Max of factor·value over [low, high], a factor 0 giving 0 whatever the ends. (m, n)."""
    return torch.where(factors > 0, factors * high, torch.where(factors < 0, factors * low, 0.0))


def _lengths(neurons: Remainders, space: QuerySet) -> Tensor:
    """‖R_j‖* + |s_j − m_j|, positive. Shape (n,)."""
    lengths = reach(neurons.rows, space) + (neurons.shift - neurons.centre).abs()
    return lengths.clamp_min(1e-9 * float(lengths.amax()) + 1e-300)


def _weighted_length(neurons: Remainders, space: QuerySet, t: Tensor) -> float:
    """An upper bound of √(Σ_j y_j² / t_j) over the set: of the matrix, then of the shift."""
    root = t.rsqrt()
    side = 1.0 if space.unit == "ball" else neurons.rows.shape[1] ** 0.5
    moving = norm_bound(neurons.rows * root[:, None]) * side
    standing = float(torch.linalg.vector_norm((neurons.shift - neurons.centre) * root))
    return (moving + standing) * (1 + gamma(len(t) + 16))


def _norm(
    parts: SignedSums, neurons: Remainders, space: QuerySet, *, weighting: tuple[Tensor, float]
) -> float:
    """‖C‖ + σ(A) + σ(G T^½) (sup ‖T^-½ y‖ + ‖T^-½ floor‖) + what is not coned."""
    t, length = weighting
    k = len(parts.constant) // 2
    side = 1.0 if space.unit == "ball" else neurons.rows.shape[1] ** 0.5
    bottom, top = remainder_ends(neurons)
    heavy = torch.where(neurons.flat, 0.0, parts.gains[:k])
    floor = torch.where(neurons.odd | neurons.flat, 0.0, (-bottom).clamp_min(0))
    flat = torch.where(neurons.flat, parts.gains[:k].abs(), 0.0)
    flat_part = flat @ torch.maximum(top.abs(), bottom.abs()).nan_to_num(posinf=0.0)
    size = torch.linalg.vector_norm
    total = (
        float(size(parts.constant[:k]))
        + norm_bound(parts.line[:k]) * side
        + norm_bound(heavy * t.sqrt()) * (length + float(size(floor * t.rsqrt())))
        + float(size(flat_part))
        + float(size(parts.slack[:k]))
    )
    return total * (1 + gamma(8 * (k + len(t))))


def _slack(sums: NeuronSums, neurons: Remainders, space: QuerySet) -> Tensor:
    """Rounding of every sum and product above, and of φ in float64. Shape (k,)."""
    n, e = neurons.rows.shape
    size = reach(neurons.rows.abs(), space) + neurons.shift.abs() + neurons.centre.abs()
    height = torch.maximum(neurons.least.abs(), neurons.greatest.abs())
    finite = torch.where(torch.isinf(neurons.lipschitz), 0.0, neurons.lipschitz)
    each = (
        (neurons.slope.abs() + neurons.scale.abs() + finite) * size + neurons.offset.abs() + height
    )
    magnitude = sums.offsets.abs() + neurons.weights.abs() @ (each + neurons.scale.abs())
    units = gamma(8 * (n + e + 16)) + ACTIVATION_UNITS * UNIT
    return units * magnitude + 1e-300
