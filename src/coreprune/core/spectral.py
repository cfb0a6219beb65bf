"""Spectral norms bounded from above, rounding included."""

import torch
from torch import Tensor

from coreprune.core.rounding import gamma


def norm_bound(matrix: Tensor) -> float:
    """An upper bound of σ_max(A), tight to rounding.

        σ² ≤ λ̂_max(AᵀA or AAᵀ, the smaller) + (γ_m + γ_{8n}) ‖A‖_F²

    The Gram matrix is off by at most γ_m |A|ᵀ|A|, of norm at most γ_m ‖A‖_F². A symmetric
    eigensolver is backward stable: its eigenvalues are those of a matrix within a small multiple of
    n u ‖G‖.

    Args:
        matrix: A in float64. Shape (m, n).

    Returns:
        The bound; infinite where A is not finite.

    Example:
        >>> 5.0 <= norm_bound(torch.tensor([[3.0, 4.0]], dtype=torch.float64)) < 5.0 + 1e-12
        True
    """
    if matrix.numel() == 0:
        return 0.0
    short, long = sorted(matrix.shape)
    gram = matrix @ matrix.T if matrix.shape[0] == short else matrix.T @ matrix
    trace = float(gram.diagonal().sum())
    if not trace < float("inf"):
        return float("inf")
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    slack = (gamma(long + 2) + gamma(8 * short + 8)) * trace
    return float((max(largest, 0.0) + slack) ** 0.5 * (1 + 1e-15))
