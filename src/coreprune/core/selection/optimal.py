"""The default: the order of backward elimination with the weights that are best for what stays."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.moments import Moments
from coreprune.core.reconstruction import reconstructed, ridge_of
from coreprune.core.selection.backward import backward_shared
from coreprune.core.subset import WeightedSubset, reweighted


def optimal(weights: Tensor, moments: Moments, *, num_neurons: int) -> WeightedSubset:
    """Keep m neurons so that the next layer's inputs change least under a law of the queries.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        moments: Mean and covariance of the n neurons under the law.
        num_neurons: m between 1 and n.

    Returns:
        Exactly m neurons with optimal weights and bias shift; deterministic.

    Example:
        >>> twins = Moments(mean=torch.ones(2).double(), covariance=torch.ones(2, 2).double())
        >>> optimal(torch.tensor([[1.0, 2.0]]), twins, num_neurons=1).weights
        tensor([[3.0000]])
    """
    (subset,) = optimal_shared([(weights, moments)], num_neurons=num_neurons)
    return subset


def optimal_shared(
    readers: Sequence[tuple[Tensor, Moments]], *, num_neurons: int
) -> tuple[WeightedSubset, ...]:
    """`optimal` for readers that see the same neurons through functions of their own.

    Args:
        readers: Outgoing weights of shape (k_c, n) and moments of each reader.
        num_neurons: m between 1 and n.

    Returns:
        One subset a reader, all with the same neurons.
    """
    n = readers[0][0].shape[1]
    if num_neurons == n:
        return tuple(reweighted(weights, torch.arange(n)) for weights, _ in readers)
    ridges = [ridge_of(moments.covariance) for _, moments in readers]
    path = backward_shared(
        [
            (weights, moments.covariance, ridge)
            for (weights, moments), ridge in zip(readers, ridges, strict=True)
        ]
    )
    kept = path.order[n - num_neurons :].sort().values
    return tuple(
        reconstructed(weights, moments, kept, ridge=ridge)
        for (weights, moments), ridge in zip(readers, ridges, strict=True)
    )
