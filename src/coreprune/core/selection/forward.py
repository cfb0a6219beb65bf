"""Forward selection: from no neuron, always add the one that helps most."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import Path, factored
from coreprune.core.selection.pivoting import Form, pivots


def forward(weights: Tensor, covariance: Tensor, *, ridge: float) -> Path:
    """Order the neurons by orthogonal matching pursuit: what is added last goes first.

    With R = K + λI and G = W R, add j = argmax ‖G_:j‖² / R_jj, then

        G ← G − G_:j R_j: / R_jj,        R ← R − R_:j R_j: / R_jj .

    ‖G_:j‖² / R_jj is exactly what the ridged error falls by.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        covariance: K, positive semidefinite, in float64. Shape (n, n).
        ridge: λ > 0; ten times as much, and so on, where K + λI is singular to rounding.

    Returns:
        The path: for every m the last m of its order are the first m that were added. Ties go to
        the lower index.

    References:
        Pati, Rezaiifar & Krishnaprasad 1993, "Orthogonal matching pursuit".
    """
    return forward_shared([(weights, covariance, ridge)])


def forward_shared(views: Sequence[tuple[Tensor, Tensor, float]]) -> Path:
    """`forward` for readers that see the same neurons through functions of their own.

    One order for all; a neuron's gain is the sum of its gains to the readers.

    Args:
        views: (W, K, λ) of each reader; W of shape (k_c, n), K of shape (n, n).

    Returns:
        The path; its ridge is the largest of the readers'.
    """
    forms, ridges = [], []
    for weights, covariance, wanted in views:
        ridge = factored(covariance, wanted)[1]
        ridged = covariance.double().clone()
        ridged.diagonal().add_(ridge)
        g = weights.double() @ ridged
        forms.append(Form(gram=g.T @ g, form=ridged, floor=ridge))  # R_jj ≥ λ
        ridges.append(ridge)
    added, gains = pivots(forms, best="greatest", steps=len(forms[0].form))
    return path_of_additions(added, gains, ridge=max(ridges))


def path_of_additions(added: Tensor, gains: Tensor, *, ridge: float) -> Path:
    """The path of neurons that were added one by one.

    Args:
        added: All neurons, in order. Shape (n,).
        gains: What each took from the error. Shape (n,).
        ridge: λ.

    Returns:
        The path: the last neuron added goes first.
    """
    # From the small gains to the large: what all neurons leave is exactly nothing.
    costs = gains.flip(0)
    errors = torch.cat([costs.new_zeros(1), costs.cumsum(0)[:-1]])
    return Path(order=added.flip(0), errors=errors, ridge=ridge)
