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

RIDGE = 1e-6
"""λ as a share of the mean variance of the neurons."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """A removal order with its price: one run says what every size costs.

    Attributes:
        order: The neurons in the order in which they go, the last one staying. Shape (n,).
        errors: errors[r] is the expected squared error, summed over outputs, after the first r
            neurons have gone, by the running estimate with the ridge. Shape (n,).
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
        ridge: λ > 0.

    Returns:
        The subset with U in float64 cast to the weights' dtype, and its bias shift Wμ − Uμ_S.
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
    factor = torch.linalg.cholesky(_ridged(k[indices][:, indices], ridge))
    u = kept + torch.cholesky_solve(k[indices][:, gone] @ w[:, gone].T, factor).T
    shift = w @ moments.mean - u @ moments.mean[indices]
    return WeightedSubset(indices=indices, weights=u.to(weights), bias_shift=shift.to(weights))


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


def _ridged(covariance: Tensor, ridge: float) -> Tensor:
    ridged = covariance.clone()
    ridged.diagonal().add_(ridge)
    return ridged
