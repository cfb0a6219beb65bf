"""How much a neuron can matter to the next layer, for any query in the ball."""

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.errors import ArgumentError


def sensitivities(
    points: Tensor,
    weights: Tensor,
    *,
    activation: Activation,
    query_radius: float,
    bias: Tensor | None = None,
) -> Tensor:
    """The sensitivity of each neuron: what its largest outgoing weight can carry at the most.

        s_j = max_i |w_ij| · sup { |φ_j(z)| : b_j − β‖p_j‖ ≤ z ≤ b_j + β‖p_j‖ }

    For a non-negative non-decreasing φ without bias this is the paper's max_i |w_ij| · φ(β‖p_j‖).

    Args:
        points: Incoming weights p_j, a row a neuron. Shape (n, d).
        weights: Outgoing weights w_ij. Shape (k, n).
        activation: φ.
        query_radius: β ≥ 0, the largest Euclidean norm of a query.
        bias: b_j, zero when None. Shape (n,).

    Returns:
        Non-negative sensitivities in float64. Shape (n,).

    Raises:
        ArgumentError: When an entry is not finite, or φ overflows on the ball.

    Example:
        >>> from coreprune.core.activations import relu
        >>> points, weights = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[1.0, -2.0]])
        >>> sensitivities(points, weights, activation=relu(), query_radius=2.0).tolist()
        [10.0, 4.0]

    References:
        Mussay, Osadchy, Braverman, Zhou, Feldman 2020, "Data-Independent Neural Pruning via
        Coresets", Algorithm 1; the interval with bias is derived in docs/theory.md.
    """
    norms, peaks = _row_norms(points), _column_peaks(weights)
    centre = torch.zeros_like(norms) if bias is None else bias.double()
    # A norm or a peak is finite exactly when all entries behind it are.
    _check_finite(points=norms, weights=peaks, bias=centre)
    reach = query_radius * norms
    supremum = activation.supremum(centre - reach, centre + reach)
    s = torch.where(peaks > 0, peaks * supremum, 0.0)
    if not torch.isfinite(s).all():
        raise ArgumentError(
            f"query_radius must keep {activation.name} finite on every pre-activation, "
            f"got {query_radius}; pass a smaller one"
        )
    return s


def slope_sensitivities(
    points: Tensor, weights: Tensor, *, activation: Activation, query_radius: float
) -> Tensor:
    """How much each neuron's contribution can change over the ball.

        ℓ_j = max_i |w_ij| · L_j β‖p_j‖

    Args:
        points: Incoming weights p_j. Shape (n, d).
        weights: Outgoing weights w_ij. Shape (k, n).
        activation: φ, with its Lipschitz constant L.
        query_radius: β ≥ 0.

    Returns:
        Non-negative values in float64, infinite where φ is not Lipschitz. Shape (n,).
    """
    reach = query_radius * _row_norms(points)
    lipschitz = torch.as_tensor(activation.lipschitz, dtype=torch.float64, device=reach.device)
    moving = torch.where(reach > 0, reach * lipschitz, 0.0)
    peaks = _column_peaks(weights)
    return torch.where(peaks > 0, peaks * moving, 0.0)


def probabilities(sensitivities: Tensor) -> Tensor:
    """pr_j = s_j / t with t = Σ_j s_j, or uniform when every sensitivity is zero. Shape (n,)."""
    total = sensitivities.sum()
    if total == 0:
        return torch.full_like(sensitivities, 1 / len(sensitivities))
    return sensitivities / total


def _row_norms(points: Tensor) -> Tensor:
    """‖p_j‖: summed in single precision, and anew where squares could leave its range."""
    single = points if points.dtype.itemsize >= 4 else points.float()
    norms: Tensor = torch.linalg.vector_norm(single, dim=1).double()
    odd = ~((norms > 1e-15) & (norms < 1e15))
    norms[odd] = torch.linalg.vector_norm(points[odd], dim=1, dtype=torch.float64)
    return norms


def _column_peaks(weights: Tensor) -> Tensor:
    """max_i |w_ij|, block by block of rows: one pass over memory, without a copy of its size."""
    peaks = weights.new_zeros(weights.shape[1])
    for rows in torch.split(weights, 128):
        peaks = torch.maximum(peaks, rows.abs().amax(0))
    return peaks.double()


def _check_finite(**summaries: Tensor) -> None:
    for name, summary in summaries.items():
        if not torch.isfinite(summary).all():
            raise ArgumentError(f"{name} must be finite, got NaN or infinite entries")
