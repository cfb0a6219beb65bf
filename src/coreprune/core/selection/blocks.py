"""The algebra of one block step: what moving a whole channel does to a form and its columns.

A reader knows its neurons by a symmetric form M and by columns V. A step on block J with pivot
|D| = ± M_JJ, positive definite, turns X = M_J: into Y = L⁻¹ X and V_J into F = V_J L⁻ᵀ, L Lᵀ = |D|:

    M ← M ∓ YᵀY,        V ← V ∓ F Y        off J,        and the step's score is ‖F‖² .
"""

import torch
from torch import Tensor

_SLACK = 0.99


def whiteners(pivots: Tensor, floor: float) -> Tensor:
    """L⁻¹ of every pivot D = L Lᵀ, kept away from singularity.

    The squares of a Cholesky factor's diagonal are no smaller than D's least eigenvalue. Where they
    are below the floor, or there is no factor, rounding has spoilt D; its eigenvalues are then
    raised to the floor.

    Args:
        pivots: D, symmetric. Shape (n, T, T).
        floor: What no eigenvalue of a D is below in exact arithmetic, positive.

    Returns:
        Z with Z D Zᵀ = I. Shape (n, T, T).
    """
    factor, failed = torch.linalg.cholesky_ex(pivots)
    least = factor.diagonal(dim1=1, dim2=2).square().amin(1)
    spoilt = (failed != 0) | ~(least >= _SLACK * floor)
    identity = torch.eye(pivots.shape[1], dtype=pivots.dtype, device=pivots.device)
    if spoilt.any():
        factor[spoilt] = identity
    result: Tensor = torch.linalg.solve_triangular(
        factor, identity.expand_as(factor).contiguous(), upper=False
    )
    if spoilt.any():
        values, vectors = torch.linalg.eigh(pivots[spoilt])
        result[spoilt] = vectors.mT / values.clamp_min(floor).sqrt()[:, :, None]
    return result


def block_scores(grams: Tensor, whitening: Tensor) -> Tensor:
    """‖V_j L_j⁻ᵀ‖² = tr(V_jᵀV_j D_j⁻¹) of every block.

    Args:
        grams: V_jᵀV_j. Shape (n, T, T).
        whitening: L_j⁻¹. Shape (n, T, T).

    Returns:
        The scores. Shape (n,).
    """
    return ((whitening @ grams) * whitening).sum((1, 2)).clamp_min_(0)


def column_grams(columns: Tensor, taps: int) -> Tensor:
    """V_jᵀV_j of every block.

    Args:
        columns: Vᵀ: a row holds a column of V, for blocks to lie together. Shape (n T, k).
        taps: T.

    Returns:
        The Gram matrices. Shape (n, T, T).
    """
    blocks = columns.view(-1, taps, columns.shape[1])
    return blocks @ blocks.mT


def step_squares(step: Tensor, taps: int) -> Tensor:
    """Y_jᵀY_j of every block of Y, of shape (r, n T). Shape (n, T, T)."""
    blocks = step.view(len(step), -1, taps).transpose(0, 1)
    return blocks.mT @ blocks


def reduced(weights: Tensor) -> Tensor:
    """As few rows as there are columns, with the same WᵀW: the factor R of W = Q R.

    Args:
        weights: W. Shape (k, n T).

    Returns:
        W in float64 or, where k > n T, its factor. Shape (min(k, n T), n T).
    """
    w = weights.double()
    if w.shape[0] <= w.shape[1]:
        return w
    factor: Tensor = torch.linalg.qr(w, mode="r").R
    return factor
