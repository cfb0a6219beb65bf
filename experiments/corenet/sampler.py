"""CoreNet: a sparser network whose edges were sampled by what they carry on a few data points.

For each neuron of the next layer, its positive and its negative incoming weights apart (W is one of
the two index sets, a_j(x) ≥ 0 the activation that edge j reads, S the points):

    g_j(x) = w_j a_j(x) / Σ_{k ∈ W} w_k a_k(x)      the share of edge j in the sum
    s_j = max_{x ∈ S} g_j(x)                        its empirical sensitivity
    q_j = s_j / Σ_{k ∈ W} s_k                       its probability

m edges are drawn i.i.d. from q and ŵ_j = w_j N_j / (m q_j), N_j the times that j was drawn. The
paper takes m proportional to Σ s_j; here the factor is the same for all neurons of the network and
set so that the expected number of nonzeros is a target. Biases are kept.

References:
    Baykal, Liebenwein, Gilitschenski, Feldman, Rus 2019, "Data-Dependent Coresets for Compressing
    Neural Networks with Applications to Generalization Bounds" (arXiv 1804.05345).
"""

import copy
import math

import torch
from torch import Generator, Tensor, nn


def edge_sensitivities(weights: Tensor, activations: Tensor) -> Tensor:
    """The sensitivity of every edge of a layer, s_ij = max over the points of its share.

    Args:
        weights: w, a row a neuron of the next layer. Shape (k, n).
        activations: a(x) ≥ 0, a row a point. Shape (points, n).

    Returns:
        In [0, 1], float64; zero for edges that no point uses. Shape (k, n).

    Example:
        >>> weights = torch.tensor([[1.0, 3.0, -2.0]])
        >>> edge_sensitivities(weights, torch.ones(1, 3)).tolist()
        [[0.25, 0.75, 1.0]]
    """
    w, a = weights.double(), activations.double()
    s = torch.zeros_like(w)
    for side in (w.clamp_min(0), (-w).clamp_min(0)):
        sums = a @ side.T
        for point, total in zip(a, sums, strict=True):
            share = side * point / total.where(total > 0, torch.inf)[:, None]
            s = torch.maximum(s, share)
    return s


def sampled_edges(
    weights: Tensor, sensitivities: Tensor, *, draws_per_sensitivity: float, generator: Generator
) -> Tensor:
    """A sparse ŵ with E[ŵ_ij] = w_ij for every edge of positive sensitivity.

    Args:
        weights: w. Shape (k, n).
        sensitivities: s_ij. Shape (k, n).
        draws_per_sensitivity: c > 0; each side of a neuron is drawn m = ⌈c Σ s_j⌉ times.
        generator: The source of randomness, on the CPU.

    Returns:
        ŵ. Shape (k, n).
    """
    sparse = torch.zeros_like(weights, dtype=torch.float64)
    for side in (weights > 0, weights < 0):
        s = sensitivities.where(side, 0.0)
        for neuron, row in enumerate(s):
            total = float(row.sum())
            if total > 0:
                m, q = math.ceil(draws_per_sensitivity * total), row / total
                draws = torch.multinomial(q, m, replacement=True, generator=generator)
                counts = torch.bincount(draws, minlength=len(q))
                sparse[neuron] += reweighted_edges(weights[neuron].double(), counts, q)
    return sparse.to(weights.dtype)


def reweighted_edges(weights: Tensor, counts: Tensor, probabilities: Tensor) -> Tensor:
    """ŵ_j = w_j N_j / (m q_j), zero where N_j = 0, with m = Σ N_j. Shape (n,)."""
    factors = counts / (counts.sum() * probabilities)
    return torch.where(counts > 0, weights * factors, 0.0)


def expected_nonzeros(
    sensitivities: Tensor, weights: Tensor, draws_per_sensitivity: float
) -> float:
    """Σ 1 − (1 − q_j)^m over all edges of a layer; the arguments are as in `sampled_edges`."""
    expected = 0.0
    for side in (weights > 0, weights < 0):
        s = sensitivities.where(side, 0.0)
        totals = s.sum(1, keepdim=True)
        q = s / totals.where(totals > 0, 1.0)
        m = (draws_per_sensitivity * totals).ceil()
        expected += float(-torch.expm1(m * torch.log1p(-q.clamp_max(1 - 1e-16))).sum())
    return expected


def corenet(
    model: nn.Sequential, points: Tensor, *, num_nonzeros: int, generator: Generator
) -> nn.Sequential:
    """A copy of a network of linear and ReLU layers with sampled edges.

    Args:
        model: The trained network; its inputs are not negative.
        points: S, the data that the sensitivities come from. Shape (points, d).
        num_nonzeros: The expected number of nonzero parameters, biases included.
        generator: The source of randomness, on the CPU.

    Returns:
        A network of the same shapes.

    Raises:
        ValueError: When the points use too few edges for so many nonzeros.
    """
    sparse = copy.deepcopy(model)
    layers = [layer for layer in sparse if isinstance(layer, nn.Linear)]
    sensitivities = _layer_sensitivities(model, points)
    num_biases = sum(layer.bias.numel() for layer in layers)
    c = _draws_per_sensitivity(layers, sensitivities, num_edges=num_nonzeros - num_biases)
    with torch.no_grad():
        for layer, s in zip(layers, sensitivities, strict=True):
            layer.weight.copy_(
                sampled_edges(layer.weight, s, draws_per_sensitivity=c, generator=generator)
            )
    return sparse


def num_nonzeros(model: nn.Module) -> int:
    """How many parameters are not zero."""
    return sum(int(parameter.count_nonzero()) for parameter in model.parameters())


@torch.no_grad()
def _layer_sensitivities(model: nn.Sequential, points: Tensor) -> list[Tensor]:
    """Of each linear layer, from the activations of the original network."""
    sensitivities, activations = [], points
    for layer in model:
        if isinstance(layer, nn.Linear):
            sensitivities.append(edge_sensitivities(layer.weight, activations))
        activations = layer(activations)
    return sensitivities


def _draws_per_sensitivity(
    layers: list[nn.Linear], sensitivities: list[Tensor], *, num_edges: int
) -> float:
    """The factor whose expected number of edges is the target, to one in ten thousand.

    Raises:
        ValueError: When the points use too few edges for the target.
    """
    used = sum(int(s.count_nonzero()) for s in sensitivities)
    if not 0 < num_edges < 0.95 * used:
        raise ValueError(
            f"num_nonzeros must leave between 1 and 95 % of the {used} edges that the points use, "
            f"got {num_edges} besides the biases"
        )
    low, high = 1e-6, 1e9
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        expected = sum(
            expected_nonzeros(s, layer.weight, middle)
            for layer, s in zip(layers, sensitivities, strict=True)
        )
        low, high = (middle, high) if expected < num_edges else (low, middle)
    return low
