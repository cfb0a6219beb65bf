"""Largest norm first: the usual heuristic, deterministic and biased."""

import torch
from torch import Tensor

from coreprune.core.subset import WeightedSubset, reweighted


def magnitude(points: Tensor, weights: Tensor, *, num_neurons: int) -> WeightedSubset:
    """Keep the m neurons with the largest ‖p_j‖, their outgoing weights unchanged.

    Args:
        points: Incoming weights p_j. Shape (n, d).
        weights: Outgoing weights w_ij. Shape (k, n).
        num_neurons: m between 1 and n; ties go to the lower index.

    Returns:
        A subset of exactly m neurons, without any guarantee.

    References:
        Li et al. 2017, "Pruning Filters for Efficient ConvNets" (with the 1-norm).
    """
    norms = torch.linalg.vector_norm(points.double(), dim=1)
    order = torch.sort(norms, descending=True, stable=True).indices
    return reweighted(weights, order[:num_neurons].sort().values)
