"""Backward elimination: from all neurons, always drop the one whose loss costs least."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import Path, factored, inverse_of
from coreprune.core.selection.pivoting import Form, pivots


def backward(weights: Tensor, covariance: Tensor, *, ridge: float, num_neurons: int = 1) -> Path:
    """Order the neurons by greedy removal with optimal reweighting after every step.

    With P = (K + λI)⁻¹ and U = W, remove j = argmin ‖U_:j‖² / P_jj, then

        U ← U − U_:j P_j: / P_jj,        P ← P − P_:j P_j: / P_jj :

    the Optimal-Brain-Surgeon step for whole neurons. ‖U_:j‖² / P_jj is exactly what the ridged
    error grows by.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        covariance: K, positive semidefinite, in float64. Shape (n, n).
        ridge: λ > 0; ten times as much, and so on, where K + λI is singular to rounding.
        num_neurons: Stop when so many are left; what stays is then in no order and later errors
            are NaN.

    Returns:
        The path; ties go to the lower index.

    References:
        Hassibi & Stork 1993, "Second order derivatives for network pruning: Optimal Brain Surgeon".
    """
    return backward_shared([(weights, covariance, ridge)], num_neurons=num_neurons)


def backward_shared(views: Sequence[tuple[Tensor, Tensor, float]], *, num_neurons: int = 1) -> Path:
    """`backward` for readers that see the same neurons through functions of their own.

    One order for all; a neuron's cost is the sum of its costs to the readers.

    Args:
        views: (W, K, λ) of each reader; W of shape (k_c, n), K of shape (n, n).
        num_neurons: As in `backward`.

    Returns:
        The path; its ridge is the largest of the readers'.
    """
    forms, ridges = [], []
    for weights, covariance, wanted in views:
        factor, ridge = factored(covariance, wanted)
        inverse = inverse_of(factor)
        del factor  # n² numbers, before the next n² come
        w = weights.double()
        floor = 1 / (float(covariance.diagonal().max()) + ridge)  # P_jj ≥ 1 / (K_jj + λ)
        forms.append(Form(gram=w.T @ w, form=inverse, floor=floor))
        ridges.append(ridge)
    n = len(forms[0].form)
    if num_neurons >= n:
        taken = costs = forms[0].form.new_zeros(0)
    else:
        taken, costs = pivots(forms, best="least", steps=n - num_neurons)
    return path_of_removals(taken, costs, num_neurons=n, ridge=max(ridges))


def path_of_removals(taken: Tensor, costs: Tensor, *, num_neurons: int, ridge: float) -> Path:
    """The path of neurons that were removed one by one.

    Args:
        taken: The neurons, in order. Shape (steps,).
        costs: What each step added to the error. Shape (steps,).
        num_neurons: n, how many there were.
        ridge: λ.

    Returns:
        The path; after the last step, the neurons left in the order of their indices and NaN.
    """
    stays = torch.ones(num_neurons, dtype=torch.bool, device=taken.device)
    stays[taken.long()] = False
    errors = costs.new_full((num_neurons,), torch.nan)
    errors[: len(costs) + 1] = torch.cat([costs.new_zeros(1), costs.cumsum(0)])
    order = torch.cat([taken.long(), stays.nonzero().squeeze(1)])
    return Path(order=order, errors=errors, ridge=ridge)
