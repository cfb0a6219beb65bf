"""The best outgoing weights for given neurons, and what they leave undone.

With K = Cov(h) and μ = E[h] under the law of the queries, and λ > 0,

    U = (W K[:,S] + λ W[:,S]) (K[S,S] + λI)⁻¹        ĉ = c + W μ − U μ_S

minimise E‖W h + c − U h_S − ĉ‖² + λ‖W − U‖², the ridge centred at W: S = everything returns W.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.moments import Moments
from coreprune.core.subset import WeightedSubset
from coreprune.errors import ArgumentError

RIDGE = 1e-6
"""λ as a share of the mean variance of the neurons."""

_PANEL = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """A removal order with its price: one run says what every size costs.

    Attributes:
        order: The neurons in the order in which they go, the last one staying. Shape (n,).
        errors: errors[r] is the expected squared error, summed over outputs, after the first r
            neurons have gone, by the running estimate with the ridge; NaN where the path was not
            followed so far. Shape (n,).
        ridge: λ.
    """

    order: Tensor
    errors: Tensor
    ridge: float


def ridge_of(covariance: Tensor, share: float = RIDGE) -> float:
    """λ: a share of the mean variance, or of 1 for a layer that never varies."""
    mean = float(covariance.diagonal().mean())
    return share * (mean if mean > 0 else 1.0)


def reconstructed(
    weights: Tensor, moments: Moments, indices: Tensor, *, ridge: float
) -> WeightedSubset:
    """The optimal outgoing weights and bias shift of the neurons kept.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        moments: μ and K of the neurons.
        indices: S, sorted. Shape (m,).
        ridge: λ > 0; ten times as much, and so on, where K[S,S] + λI is singular to rounding.

    Returns:
        The subset with U in float64 cast to the weights' dtype, its bias shift Wμ − Uμ_S, the λ
        used and the condition number of K[S,S] + λI.
    """
    if len(indices) == weights.shape[1]:
        return WeightedSubset(
            indices=indices, weights=weights.clone(), bias_shift=weights.new_zeros(len(weights))
        )
    w, k = weights.double(), moments.covariance
    kept = w[:, indices]
    # W K[:,S] + λ W[:,S] = W[:,S] (K[S,S] + λI) + W[:,T] K[T,S] over the neurons T that go.
    gone = torch.ones(weights.shape[1], dtype=torch.bool, device=weights.device)
    gone[indices] = False
    rows = indices[:, None]
    factor, ridge = factored(k[rows, indices], ridge)
    cross = k[rows, gone.nonzero().squeeze(1)]
    u = kept + torch.cholesky_solve(cross @ w[:, gone].T, factor).T
    shift = w @ moments.mean - u @ moments.mean[indices]
    return WeightedSubset(
        indices=indices,
        weights=u.to(weights),
        bias_shift=shift.to(weights),
        ridge=ridge,
        condition_number=condition_number(factor),
    )


def expected_error(weights: Tensor, moments: Moments, subset: WeightedSubset) -> float:
    """E‖Wh + c − U h_S − ĉ‖², summed over outputs: tr((W − U_S) K (W − U_S)ᵀ).

    Args:
        weights: W. Shape (k, n).
        moments: μ and K.
        subset: The coreset, its bias shift matching the means or not.

    Returns:
        The expected squared error in squared units of the next layer's inputs.
    """
    difference = weights.double().clone()
    difference[:, subset.indices] -= subset.weights.double()
    offset = difference @ moments.mean - subset.bias_shift.double()
    spread = ((difference @ moments.covariance) * difference).sum()
    return float(spread.clamp_min(0) + offset.square().sum())


def factored(covariance: Tensor, ridge: float) -> tuple[Tensor, float]:
    """The Cholesky factor of K + λI, with the first of λ, 10 λ, 100 λ, … that has one.

    Args:
        covariance: K, symmetric, positive semidefinite to rounding. Shape (n, n).
        ridge: λ > 0.

    Returns:
        The lower factor in float64, shape (n, n), and the ridge used.

    Raises:
        ArgumentError: When K is not finite or λ not positive.
    """
    if not ridge > 0:
        raise ArgumentError(f"ridge must be positive, got {ridge}")
    if not torch.isfinite(covariance.sum()):
        raise ArgumentError(
            "covariance must be finite, and so must its sum; check the moments of the layer"
        )
    # By columns, as LAPACK has it: the factor then takes the matrix's place, not n² numbers more.
    factor = torch.empty(covariance.shape, dtype=torch.float64, device=covariance.device).T
    failed = torch.empty((), dtype=torch.int32, device=factor.device)
    while True:
        factor.copy_(covariance)
        factor.diagonal().add_(ridge)
        torch.linalg.cholesky_ex(factor, out=(factor, failed))
        if not failed:
            return factor, ridge
        ridge *= 10


def inverse_of(factor: Tensor) -> Tensor:
    """(L Lᵀ)⁻¹ = L⁻ᵀ L⁻¹, symmetric, in the factor's own memory.

    By panels of columns from the left: L⁻¹ needs no column of L to the left of a panel, and a panel
    of rows of L⁻ᵀ L⁻¹ no row of L⁻¹ above it. LAPACK's potri can take many times as long.

    Args:
        factor: L, lower triangular; overwritten. Shape (n, n).

    Returns:
        The inverse. Shape (n, n).
    """
    n = len(factor)
    for start in range(0, n, _PANEL):
        stop = min(start + _PANEL, n)
        unit = factor.new_zeros(n - start, stop - start)
        unit.fill_diagonal_(1)
        factor[start:, start:stop] = torch.linalg.solve_triangular(
            factor[start:, start:], unit, upper=False
        )
    for start in range(0, n, _PANEL):
        stop = min(start + _PANEL, n)
        rows = factor[start:, start:stop].T @ factor[start:, :stop]
        factor[:stop, start:stop] = rows.T
        factor[start:stop, :start] = rows[:, :start]
    return factor.T.contiguous()  # a factor from LAPACK lies in memory by columns: no copy


def condition_number(factor: Tensor, *, steps: int = 20, width: int = 8) -> float:
    """The condition number of A = L Lᵀ in the 2-norm, to a few percent and never above it.

    Subspace iteration on A for its largest eigenvalue and on A⁻¹ for its smallest, from one fixed
    random start: exact up to `width` rows, and 2 · `steps` products or solves with A beyond.

    Args:
        factor: L, lower triangular. Shape (n, n).
        steps: Iterations at each end.
        width: The dimension of the subspace.

    Returns:
        λ_max(A) / λ_min(A).
    """
    start = torch.randn(
        len(factor),
        min(width, len(factor)),
        dtype=factor.dtype,
        generator=torch.Generator().manual_seed(0),
    ).to(factor.device)
    largest, inverse = start, start
    for _ in range(steps):
        largest = torch.linalg.qr(factor @ (factor.T @ largest)).Q
        inverse = torch.linalg.qr(torch.cholesky_solve(inverse, factor)).Q
    top = torch.linalg.matrix_norm(factor.T @ largest, ord=2)
    bottom = torch.linalg.matrix_norm(
        torch.linalg.solve_triangular(factor, inverse, upper=False), ord=2
    )
    return float((top * bottom).square())


def refitted(cross: Tensor, moments: Moments) -> Tensor:
    """The change D of outgoing weights that explains best what a reader lacks.

        D = Cov(r, h) (K + λI)⁻¹  minimises  E‖r − D h − const‖² + λ‖D‖²

    Args:
        cross: Cov(r, h) of what is lacking with the neurons. Shape (k, n).
        moments: Of the neurons.

    Returns:
        D. Shape (k, n).
    """
    factor, _ = factored(moments.covariance, ridge_of(moments.covariance))
    return torch.cholesky_solve(cross.T, factor).T
