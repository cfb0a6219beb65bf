"""The comparator that keeps every neuron: the points replaced by a matrix of low rank."""

import torch
from torch import Generator

from experiments.coreset_trials import Layer
from experiments.worst_query import Neurons, Search, worst_queries


def affordable_rank(num_neurons: int, *, layer_width: int, dimension: int) -> int:
    """The largest r with r (n + d) ≤ m (d + 1): two factors for the price of m neurons.

    A kept neuron costs its d incoming weights and one outgoing weight. The n outgoing weights that
    the low-rank layer still has are not counted, nor are biases, in favour of the comparator.

    Example:
        >>> affordable_rank(100, layer_width=1000, dimension=20)
        2
    """
    rank = num_neurons * (dimension + 1) // (layer_width + dimension)
    return min(rank, layer_width, dimension)


def truncated_svd_error(
    layer: Layer, num_neurons: int, *, search: Search, seed: int
) -> tuple[int, float, float]:
    """The rank that `num_neurons` neurons pay for, and its worst and mean error.

    Args:
        layer: What to approximate.
        num_neurons: m, whose parameters may be spent.
        search: How hard to look for the worst query.
        seed: Of the search.

    Returns:
        The rank, the largest error found, the mean error at random queries. At rank 0 only the
        constant Σ_j w_ij φ(b_j) is left.
    """
    neurons = layer.neurons
    n, d = neurons.points.shape
    rank = affordable_rank(num_neurons, layer_width=n, dimension=d)
    u, s, vh = torch.linalg.svd(neurons.points.double(), full_matrices=False)
    low_rank = (u[:, :rank] * s[:rank]) @ vh[:rank]
    both = Neurons(
        points=torch.cat([neurons.points.double(), low_rank]),
        bias=neurons.bias.repeat(2),
        activation=neurons.activation,
        query_radius=neurons.query_radius,
    )
    difference = torch.cat([layer.weights, -layer.weights], dim=1)
    found = worst_queries(
        both, difference[None], search=search, generator=Generator().manual_seed(seed)
    )
    return rank, float(found.peak[0]), float(found.random_mean[0])
