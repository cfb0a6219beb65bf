"""The default: backward elimination, swaps, and the weights that are best for what stays."""

from torch import Tensor

from coreprune.core.moments import Moments
from coreprune.core.selection.paths import Reader, subsets_of
from coreprune.core.subset import WeightedSubset


def optimal(weights: Tensor, moments: Moments, *, num_neurons: int) -> WeightedSubset:
    """Keep m neurons so that the next layer's inputs change least under a law of the queries.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        moments: Mean and covariance of the n neurons under the law.
        num_neurons: m between 1 and n.

    Returns:
        Exactly m neurons with optimal weights and bias shift; deterministic.

    Example:
        >>> import torch
        >>> twins = Moments(mean=torch.ones(2).double(), covariance=torch.ones(2, 2).double())
        >>> optimal(torch.tensor([[1.0, 2.0]]), twins, num_neurons=1).weights
        tensor([[3.0000]])
    """
    (subset,) = subsets_of("optimal", [Reader(weights, moments)], num_neurons=num_neurons)
    return subset
