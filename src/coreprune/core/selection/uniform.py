"""Uniform sampling without replacement: the comparator that knows nothing of the neurons."""

import torch
from torch import Generator, Tensor

from coreprune.core.subset import WeightedSubset, reweighted


def uniform(weights: Tensor, *, num_neurons: int, generator: Generator) -> WeightedSubset:
    """Keep m of n neurons at random, each outgoing weight times n / m: unbiased.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        num_neurons: m between 1 and n.
        generator: The source of randomness, on the CPU.

    Returns:
        A coreset of exactly m neurons.
    """
    n = weights.shape[1]
    indices = torch.randperm(n, generator=generator)[:num_neurons].sort().values
    factors = torch.full((len(indices),), n / len(indices), dtype=torch.float64)
    return reweighted(weights, indices, factors)
