"""The bound of `lagrangian` by a factorisation as large as the number of curved neurons.

For Q = SᵀS, S = diag(√α) R over the neurons with α > 0, and the ball,

    sup of q₀ + q·v + ‖Sv‖² ≤ q₀ + λ + μ   if   [[λI − SSᵀ, Sq/(2√λ)], [·, μ − ‖q‖²/(4λ)]] ⪰ 0:

both this matrix and the one of `lagrangian` are Schur complements of
[[λI, Sᵀ, −q/2], [S, I, 0], [−qᵀ/2, 0, μ]]. If it is only ⪰ −δ, the bound with 2δ more holds: λ + δ
and μ + δ satisfy the condition. SSᵀ is a part of RRᵀ, scaled, so nothing of the size of R is
multiplied for each sum.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.majorants import Majorants
from coreprune.core.query_set import QuerySet, reach
from coreprune.core.remainders import Remainders
from coreprune.core.rounding import gamma
from coreprune.core.row_bounds import SignedSums

_POWER, _FIRST, _GROWTH, _ATTEMPTS = 12, 1e-2, 2.5, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lost:
    """What bounds the rounding of SSᵀ: γ and Σ_j α_j ‖R_j‖²."""

    unit: float
    mass: float


def convex_joint_bounds(
    parts: SignedSums,
    neurons: Remainders,
    space: QuerySet,
    *,
    gram: Tensor,
    chosen: Majorants,
) -> Tensor:
    """Bound every signed sum over a ball through majorants without negative curvature.

    Args:
        parts: The m signed sums.
        neurons: Their neurons.
        space: A ball or an ellipsoid.
        gram: RRᵀ in float64. Shape (n, n).
        chosen: The majorants, α ≥ 0.

    Returns:
        Upper bounds, rounding included; infinite where no factorisation went through. Shape (m,).
    """
    alpha, beta = chosen.curvature, chosen.tilt
    shift = neurons.shift - neurons.centre
    size, offset = reach(neurons.rows, space), shift.abs()
    n, e = neurons.rows.shape
    constant = parts.constant + chosen.level + (alpha * shift.square() + beta * shift).sum(1)
    magnitudes = (
        parts.constant.abs()
        + chosen.level.abs()
        + alpha @ (offset + size).square()
        + beta.abs() @ (offset + size)
        + parts.gains.abs() @ (size + offset)
    )
    slack = parts.slack + gamma(16 * (n + e + 16)) * magnitudes
    slope = parts.line + (2 * alpha * shift + beta) @ neurons.rows
    seen = slope @ neurons.rows.T
    masses = (alpha @ size.square()).tolist()
    values = [
        _least(gram, a, (q, s), lost=_Lost(unit=gamma(8 * (n + e)), mass=mass))
        for a, q, s, mass in zip(alpha, slope, seen, masses, strict=True)
    ]
    return constant + torch.stack(values) + slack


def _least(gram: Tensor, alpha: Tensor, slopes: tuple[Tensor, Tensor], *, lost: _Lost) -> Tensor:
    """The least λ + μ found for q and Rq, its rounding included. A scalar."""
    slope, seen = slopes
    curved = (alpha > 0).nonzero()[:, 0]
    root = alpha[curved].sqrt()
    matrix = gram[curved][:, curved] * (root[:, None] * root)
    side, square = root * seen[curved] / 2, slope.square().sum()
    best = slope.new_full((), torch.inf)
    start = torch.maximum(_power(matrix), square.sqrt() / 2).clamp_min(1e-290)
    growth = _FIRST
    for _ in range(_ATTEMPTS):
        price = start * (1 + growth)
        value = _value(-matrix, side, square, price=price, lost=lost)
        if torch.isfinite(best) and value >= best:
            break
        best, growth = torch.minimum(best, value), growth * _GROWTH
    return best


def _power(matrix: Tensor) -> Tensor:
    """About the largest eigenvalue, from below: a proposal, nothing rests on it."""
    if not len(matrix):
        return matrix.new_zeros(())
    sizes: Tensor = torch.linalg.vector_norm(matrix, dim=1)
    # Signs of a column, so that opposite neurons do not cancel; the sine, so that no others do.
    signs = matrix[int(sizes.argmax())].sign()
    x = sizes * (signs + torch.arange(1, len(matrix) + 1).to(matrix).sin() / 2)
    for _ in range(_POWER):
        x = matrix @ (x / torch.linalg.vector_norm(x).clamp_min(1e-300))
    length: Tensor = torch.linalg.vector_norm(x)
    return length


def _value(negated: Tensor, side: Tensor, square: Tensor, *, price: Tensor, lost: _Lost) -> Tensor:
    m = len(negated)
    negated.diagonal().add_(price)
    factor, info = torch.linalg.cholesky_ex(negated)
    if int(info) != 0:
        return price.new_full((), torch.inf)
    moved = torch.linalg.solve_triangular(factor, side[:, None], upper=False).square().sum()
    mu = (moved + square / 4) / price
    # SSᵀ is rounded by γ Σ α ‖R‖², the corner by γ μ, the border by γ times their geometric mean.
    rounded = lost.unit * (lost.mass + price + mu)
    deficit = rounded + 4 * gamma(m + 3) * (m * price + mu)
    total: Tensor = price + mu * (1 + 1e-12) + 2 * deficit
    total = total * (1 + gamma(16)) + 1e-300
    return total if bool(torch.isfinite(total)) else price.new_full((), torch.inf)
