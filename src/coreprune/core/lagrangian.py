"""A quadratic over the unit set, bounded by one Cholesky factorisation.

    sup of q₀ + q·v + vᵀQv ≤ q₀ + λ + μ   whenever   [[λI − Q, −q/2], [−qᵀ/2, μ]] ⪰ 0, λ ≥ 0,

over the ball, because the matrix's form at (v, 1) is λ‖v‖² − vᵀQv − q·v + μ. On the cube λI is any
non-negative diagonal and λ its trace. With λI − Q = LLᵀ the least μ is ‖L⁻¹q/2‖². That the
factorisation went through in floating point says that the matrix plus a small one is positive
semidefinite; this is paid for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.coordinates import Coordinates
from coreprune.core.majorants import Majorants
from coreprune.core.query_set import QuerySet, reach
from coreprune.core.remainders import Remainders
from coreprune.core.rounding import gamma
from coreprune.core.row_bounds import SignedSums

WIDE = 512
"""From this many coordinates on Q is formed in float32, its rounding paid for as such."""
_ATTEMPTS, _FIRST, _GROWTH = 16, 3e-4, 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Quadratic:
    """−Q as a matrix, q, q₀ and what rounding can hide, for m sums."""

    negated: Tensor
    slope: Tensor
    constant: Tensor
    slack: Tensor


def joint_bounds(
    parts: SignedSums,
    neurons: Remainders,
    space: QuerySet,
    *,
    frame: Coordinates,
    chosen: Majorants,
) -> Tensor:
    """Bound every signed sum through its majorants.

    λ starts at the guess and grows until the factorisation goes through and the bound no longer
    falls.

    Args:
        parts: The m signed sums.
        neurons: Their neurons.
        space: The queries.
        frame: R and A.
        chosen: The majorants; sound ones give sound bounds, whatever their quality.

    Returns:
        Upper bounds, rounding included; infinite where no factorisation went through. Shape (m,).
    """
    form = _quadratic(parts, neurons, space, frame=frame, chosen=chosen)
    e = form.slope.shape[1]
    guess = chosen.multiplier.nan_to_num(posinf=0.0).clamp_min(0)
    diagonal = torch.diagonal(form.negated, dim1=1, dim2=2)
    size = diagonal.abs().amax(1, keepdim=True) + torch.linalg.vector_norm(
        form.slope, dim=1, keepdim=True
    )
    guess = (guess + 1e-9 * (guess.amax(1, keepdim=True) + size) + 1e-290).expand(-1, e)
    best = torch.full_like(form.constant, torch.inf)
    active, growth = torch.arange(len(best), device=best.device), _FIRST
    for _ in range(_ATTEMPTS):
        value = _attempt(form, active, space, price=guess[active] * (1 + growth))
        going = torch.isinf(value) | (value < best[active])
        best[active] = torch.minimum(best[active], value)
        active, growth = active[going], growth * _GROWTH
        if len(active) == 0:
            break
    return best


def _attempt(form: _Quadratic, active: Tensor, space: QuerySet, *, price: Tensor) -> Tensor:
    """The bounds with one λ each, infinite where the factorisation fails. Shape (active,)."""
    e = price.shape[1]
    matrix = form.negated[active]
    torch.diagonal(matrix, dim1=1, dim2=2).add_(price)
    trace = torch.diagonal(matrix, dim1=1, dim2=2).sum(1)
    factor, info = torch.linalg.cholesky_ex(matrix)
    side = torch.linalg.solve_triangular(factor, form.slope[active, :, None] / 2, upper=False)
    mu = side.square().sum((1, 2)) * (1 + 1e-12) + 1e-300
    total = price[:, 0] if space.unit == "ball" else price.sum(1)
    # A completed factorisation proves matrix ⪰ −γ trace / (1 − γ); four times that for blocking.
    extent = 2 if space.unit == "ball" else e + 1
    deficit = 4 * gamma(e + 3) * (trace + mu) * extent
    value = form.constant[active] + (total + mu + deficit) * (1 + gamma(e + 8)) + form.slack[active]
    return torch.where((info == 0) & torch.isfinite(value), value, torch.inf)


def _quadratic(
    parts: SignedSums,
    neurons: Remainders,
    space: QuerySet,
    *,
    frame: Coordinates,
    chosen: Majorants,
) -> _Quadratic:
    n, e = frame.rows.shape
    alpha, beta, shift = chosen.curvature, chosen.tilt, neurons.shift - neurons.centre
    negated, lost = _negated(frame.rows, alpha, reach(frame.rows, space))
    pull = 2 * alpha * shift + beta
    size, offset = reach(frame.rows, space), shift.abs()
    constant = parts.constant + chosen.level + (alpha * shift.square() + beta * shift).sum(1)
    magnitudes = (
        parts.constant.abs()
        + chosen.level.abs()
        + alpha.abs() @ (offset * (offset + 4 * size))
        + beta.abs() @ (offset + size)
        + parts.gains.abs() @ (size + offset)
    )
    # α y² + β y at y + defect, and the line beside it.
    steep = 2 * alpha.abs() * (size + offset + frame.row_defect) + beta.abs()
    slack = (
        parts.slack
        + lost
        + gamma(8 * (n + e + 16)) * magnitudes
        + steep @ frame.row_defect
        + frame.line_defect
    )
    return _Quadratic(
        negated=negated,
        slope=frame.line + pull @ frame.rows,
        constant=constant,
        slack=slack,
    )


def _negated(rows: Tensor, alpha: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """−Q, and what its rounding adds to vᵀQv. Shapes (m, e, e) and (m,)."""
    n, e = rows.shape
    magnitude = alpha.abs() @ size.square()
    if e <= WIDE:
        return -(rows.T @ (alpha[..., None] * rows)), gamma(n + 12) * magnitude
    # Scaled to entries of at most 1, so that what underflows in float32 is small beside the rest.
    scale = rows.abs().amax().clamp_min(1e-150)
    peak = alpha.abs().amax(1, keepdim=True).clamp_min(1e-150)
    single, factors = (rows / scale).float(), (alpha / peak).float()
    product = (single.T @ (factors[..., None] * single)).double()
    unit = peak[:, 0] * scale.square()
    underflow = n * e**2 * 2.0**-120 * unit
    return -product * unit[:, None, None], gamma(n + 12, 2.0**-24) * magnitude + underflow
