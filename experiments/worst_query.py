"""The query of a ball that moves a weighted sum of neurons most, searched by projected ascent.

What it finds is a lower bound of the supremum, evaluated in float64 at a query inside the ball.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.subset import WeightedSubset

_AT_ONCE = 20_000_000  # numbers of one intermediate tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neurons:
    """Neurons h_j(x) = φ(p_j·x + b_j) and the ball ‖x‖ ≤ β they are asked in.

    Attributes:
        points: p_j. Shape (n, d).
        bias: b_j. Shape (n,).
        activation: φ.
        query_radius: β.
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    query_radius: float

    def pre_activations(self, queries: Tensor) -> Tensor:
        """p_j·x + b_j in the precision of the queries. Shape (..., d) to (..., n)."""
        return queries @ self.points.to(queries).T + self.bias.to(queries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How hard to look.

    Attributes:
        queries: Queries uniform in the ball, asked first; the worst of them start an ascent each.
        restarts: Ascents for each sum, half from those and half from the sphere at random; two more
            start where one neuron, or the linear part of one output, is at its largest.
        steps: Gradient steps of each ascent, of a length falling from β/2 to β/200.
    """

    queries: int = 1000
    restarts: int = 8
    steps: int = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorstQueries:
    """What was found for each of C sums.

    Attributes:
        peak: The largest magnitude found. Shape (C,).
        query: Where. Shape (C, d).
        random_peak: The largest magnitude at the random queries alone. Shape (C,).
        random_mean: Its mean over the random queries. Shape (C,).
    """

    peak: Tensor
    query: Tensor
    random_peak: Tensor
    random_mean: Tensor


def residual(weights: Tensor, subset: WeightedSubset) -> Tensor:
    """W − U, U zero off the subset: the sum that is original minus coreset. Shape (k, n)."""
    difference = weights.double().clone()
    difference[:, subset.indices] -= subset.weights.double()
    return difference


def ball_queries(count: int, dimension: int, *, radius: float, generator: Generator) -> Tensor:
    """Queries uniform in the ball ‖x‖ ≤ radius. Shape (count, dimension)."""
    direction = torch.randn(count, dimension, generator=generator)
    direction /= torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    return direction * radius * torch.rand(count, 1, generator=generator) ** (1 / dimension)


def worst_queries(
    neurons: Neurons, coefficients: Tensor, *, search: Search, generator: Generator
) -> WorstQueries:
    """Look for sup over ‖x‖ ≤ β of max_i |Σ_j γ_cij h_j(x)|, for each sum c at once.

    Args:
        neurons: The neurons and their ball.
        coefficients: γ. Shape (C, k, n).
        search: How hard to look.
        generator: The source of randomness, on the CPU.

    Returns:
        The worst queries, at least as bad as the random ones. Where φ has no slope (a step
        function) the ascent stands still and the random queries are all there is.
    """
    d, radius = neurons.points.shape[1], neurons.query_radius
    gamma = coefficients.float()
    asked = ball_queries(search.queries, d, radius=radius, generator=generator)
    values = _at_shared_queries(neurons, gamma, asked)
    first = asked[values.topk(max(1, search.restarts // 2), dim=1).indices]
    rest = torch.randn(len(gamma), search.restarts - search.restarts // 2, d, generator=generator)
    rest *= radius / torch.linalg.vector_norm(rest, dim=2, keepdim=True)
    starts = torch.cat([first, rest, _informed_starts(neurons, gamma)], dim=1)
    query = _ascend(neurons, gamma, starts, steps=search.steps)
    query = _inside(query.double(), radius)
    return WorstQueries(
        peak=_magnitude(neurons, coefficients.double(), query[:, None])[:, 0],
        query=query,
        random_peak=values.amax(1).double(),
        random_mean=values.double().mean(1),
    )


def _informed_starts(neurons: Neurons, gamma: Tensor) -> Tensor:
    """Along the p_j of the largest max_i |γ_ij| ‖p_j‖, and the longest Σ_j γ_ij p_j: (C, 2, d)."""
    points = neurons.points.to(gamma)
    heaviest = (gamma.abs().amax(1) * torch.linalg.vector_norm(points, dim=1)).argmax(1)
    pulls = gamma @ points
    longest = torch.linalg.vector_norm(pulls, dim=2).argmax(1)
    along = torch.stack([points[heaviest], pulls[torch.arange(len(gamma)), longest]], dim=1)
    return torch.nn.functional.normalize(along, dim=2) * neurons.query_radius


def _at_shared_queries(neurons: Neurons, gamma: Tensor, queries: Tensor) -> Tensor:
    """max_i |Σ_j γ_cij h_j(x)| at the same queries for every sum. Shape (C, Q)."""
    flat, parts = gamma.flatten(0, 1), []
    for part in queries.split(max(1, _AT_ONCE // max(flat.shape))):
        outputs = flat @ neurons.activation(neurons.pre_activations(part)).T
        parts.append(outputs.unflatten(0, gamma.shape[:2]).abs().amax(1))
    return torch.cat(parts, dim=1)


def _magnitude(neurons: Neurons, gamma: Tensor, queries: Tensor) -> Tensor:
    """max_i |Σ_j γ_cij h_j(x)| at each sum's own queries, (C, R, d). Shape (C, R)."""
    parts = [
        (neurons.activation(neurons.pre_activations(x)) @ g.mT).abs().amax(2)
        for x, g in _portions(neurons, queries, gamma)
    ]
    return torch.cat(parts)


def _portions(neurons: Neurons, queries: Tensor, gamma: Tensor) -> list[tuple[Tensor, Tensor]]:
    sums = max(1, _AT_ONCE // (queries.shape[1] * len(neurons.points)))
    return list(zip(queries.split(sums), gamma.split(sums), strict=True))


def _ascend(neurons: Neurons, gamma: Tensor, starts: Tensor, *, steps: int) -> Tensor:
    """The best query of each sum over all its ascents. Shape (C, d)."""
    found = [
        _ascend_portion(neurons, g, x, steps=steps) for x, g in _portions(neurons, starts, gamma)
    ]
    return torch.cat(found)


def _inside(x: Tensor, radius: float) -> Tensor:
    """The nearest point of the ball. Shape (..., d)."""
    return x * (radius / torch.linalg.vector_norm(x, dim=-1, keepdim=True)).clamp_max(1.0)


def _ascend_portion(neurons: Neurons, gamma: Tensor, x: Tensor, *, steps: int) -> Tensor:
    radius = neurons.query_radius
    best, best_query = torch.full(x.shape[:2], -1.0), x
    for step in range(steps + 1):
        value, gradient = _value_and_gradient(neurons, gamma, x)
        better = value > best
        best = torch.where(better, value, best)
        best_query = torch.where(better[..., None], x, best_query)
        length = radius / 2 * 0.01 ** (step / max(1, steps))
        x = _inside(x + length * torch.nn.functional.normalize(gradient, dim=2), radius)
    winner = best.argmax(1)
    return best_query[torch.arange(len(winner)), winner]


def _value_and_gradient(neurons: Neurons, gamma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """max_i |Σ_j γ_cij h_j(x)| and its gradient. Shapes (C, R) and (C, R, d)."""
    z = neurons.pre_activations(x).requires_grad_()
    h = neurons.activation(z)
    (slope,) = torch.autograd.grad(h.sum(), z) if h.requires_grad else (torch.zeros_like(z),)
    outputs = h.detach() @ gamma.mT
    output = outputs.abs().argmax(2, keepdim=True)
    value = outputs.gather(2, output)
    along = gamma[torch.arange(len(gamma))[:, None], output[..., 0]] * value.sign()
    return value[..., 0].abs(), (along * slope) @ neurons.points.to(x)
