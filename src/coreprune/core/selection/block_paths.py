"""Backward elimination and forward selection of neurons that own several columns each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import Path, factored, inverse_of
from coreprune.core.selection.backward import path_of_removals
from coreprune.core.selection.block_pivoting import BlockForm, block_pivots
from coreprune.core.selection.blocks import reduced
from coreprune.core.selection.forward import path_of_additions
from coreprune.core.taps import diagonal_blocks

BlockView = tuple[Tensor, Tensor, float, int]
"""(W, K, λ, T) of one reader; W of shape (k, n T), K of shape (n T, n T), neuron by neuron."""


def backward_blocks(views: Sequence[BlockView], *, num_neurons: int = 1) -> Path:
    """Order channels by greedy removal with optimal reweighting after every step.

    With P = (K + λI)⁻¹ and U = W, remove the channel J = argmin tr(U_JᵀU_J P_JJ⁻¹), then

        U ← U − U_J P_JJ⁻¹ P_J: ,        P ← P − P_:J P_JJ⁻¹ P_J: .

    The score is exactly what the ridged error grows by. One order for all readers; a channel's cost
    is the sum of its costs to them. For T = 1 it is `backward_shared`.

    Args:
        views: One a reader, each with taps of its own.
        num_neurons: Stop when so many are left; what stays is then in no order and later errors
            are NaN.

    Returns:
        The path over channels; ties go to the lower index; its ridge is the largest of the
        readers'.

    Example:
        >>> twins = torch.ones(4, 4).double() + torch.eye(2).repeat(2, 2)
        >>> path = backward_blocks([(torch.ones(1, 4), twins, 1e-6, 2)])
        >>> path.order, bool(path.errors[1] < 1e-4)
        (tensor([0, 1]), True)
    """
    forms, ridges = [], []
    for weights, covariance, wanted, taps in views:
        factor, ridge = factored(covariance, wanted)
        form = BlockForm(
            columns=reduced(weights).T.clone(memory_format=torch.contiguous_format),
            form=inverse_of(factor),
            taps=taps,
            floor=1 / (_greatest(covariance, taps) + ridge),  # P_JJ ≥ 1 / (‖K_JJ‖ + λ)
        )
        del factor
        forms.append(form)
        ridges.append(ridge)
    n = len(forms[0].form) // forms[0].taps
    if num_neurons >= n:
        costs = forms[0].form.new_zeros(0)
        taken = costs.long()
    else:
        taken, costs = block_pivots(forms, best="least", steps=n - num_neurons)
    return path_of_removals(taken, costs, num_neurons=n, ridge=max(ridges))


def forward_blocks(views: Sequence[BlockView]) -> Path:
    """Order channels by orthogonal matching pursuit: what is added last goes first.

    With R = K + λI and G = W R, add the channel J = argmax tr(G_JᵀG_J R_JJ⁻¹), then

        G ← G − G_J R_JJ⁻¹ R_J: ,        R ← R − R_:J R_JJ⁻¹ R_J: .

    The score is exactly what the ridged error falls by. For T = 1 it is `forward_shared`.

    Args:
        views: One a reader, each with taps of its own.

    Returns:
        The path over channels: for every m the last m of its order are the first m that were added.
    """
    forms, ridges = [], []
    for weights, covariance, wanted, taps in views:
        ridge = factored(covariance, wanted)[1]
        ridged = covariance.double().clone(memory_format=torch.contiguous_format)
        ridged.diagonal().add_(ridge)
        columns = ridged @ reduced(weights).T
        forms.append(BlockForm(columns=columns, form=ridged, taps=taps, floor=ridge))  # R ≥ λ
        ridges.append(ridge)
    n = len(forms[0].form) // forms[0].taps
    added, gains = block_pivots(forms, best="greatest", steps=n)
    return path_of_additions(added, gains, ridge=max(ridges))


def _greatest(covariance: Tensor, taps: int) -> float:
    """The largest eigenvalue of a block on the diagonal."""
    blocks = diagonal_blocks(covariance.double(), taps)
    return float(torch.linalg.eigvalsh(blocks).amax())
