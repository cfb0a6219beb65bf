"""Coresets of one layer by several methods, sizes and seeds, and their worst errors."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core import sample_size
from coreprune.core.coreset import SAMPLERS, Method, layer_coreset
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.core.subset import WeightedSubset
from experiments.spread import spread
from experiments.worst_query import Neurons, Search, residual, worst_queries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A hidden layer and what the next one reads from it.

    Attributes:
        neurons: The n hidden neurons and their ball of queries.
        weights: Outgoing weights w. Shape (k, n).
    """

    neurons: Neurons
    weights: Tensor

    def sensitivities(self) -> Tensor:
        """s_j. Shape (n,)."""
        return sensitivities(
            self.neurons.points,
            self.weights,
            activation=self.neurons.activation,
            query_radius=self.neurons.query_radius,
            bias=self.neurons.bias,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One coreset and its error in the units of the next layer's inputs.

    Attributes:
        method: How it was chosen.
        share: The share of the neurons asked for.
        kept: The neurons it has.
        num_draws: How often was drawn, when with replacement.
        worst: The largest error found.
        random_mean: The mean error at random queries.
    """

    method: str
    share: float
    kept: int
    num_draws: int | None
    worst: float
    random_mean: float


def coreset_trials(
    layer: Layer, shares: Sequence[float], *, seeds: Iterable[int], search: Search
) -> list[Trial]:
    """A coreset for every method, share and seed (the deterministic method once), all attacked.

    Args:
        layer: What to approximate.
        shares: Shares of neurons to keep.
        seeds: One coreset of each random method for each.
        search: How hard to look for the worst query.

    Returns:
        The trials, methods in the order of the library.
    """
    seeds = list(seeds)
    asked = [
        (method, share, seed)
        for method in SAMPLERS
        for share in shares
        for seed in (seeds[:1] if method == "magnitude" else seeds)
    ]
    chosen = [_subset(layer, method, share=share, seed=seed) for method, share, seed in asked]
    found = worst_queries(
        layer.neurons,
        torch.stack([residual(layer.weights, subset) for subset in chosen]),
        search=search,
        generator=Generator().manual_seed(seeds[0]),
    )
    return [
        Trial(
            method=method,
            share=share,
            kept=len(subset.indices),
            num_draws=subset.num_draws,
            worst=float(found.peak[row]),
            random_mean=float(found.random_mean[row]),
        )
        for row, ((method, share, _), subset) in enumerate(zip(asked, chosen, strict=True))
    ]


def _subset(layer: Layer, method: Method, *, share: float, seed: int) -> WeightedSubset:
    return layer_coreset(
        layer.neurons.points,
        layer.weights,
        num_neurons=neurons_of(share, layer),
        activation=layer.neurons.activation,
        query_radius=layer.neurons.query_radius,
        bias=layer.neurons.bias,
        method=method,
        generator=Generator().manual_seed(seed),
    )


def neurons_of(share: float, layer: Layer) -> int:
    """The number of neurons that a share of the layer means, at least one."""
    return max(1, round(share * layer.weights.shape[1]))


def error_of_one_draw(layer: Layer, *, delta: float) -> float:
    """The a-priori ε(1, δ), infinite for a step; m draws have ε(1, δ) / √m."""
    s = layer.sensitivities()
    return sample_size.error_of_draws(
        1,
        total=float(s.sum()),
        spread=layer_spread(layer),
        num_outputs=len(layer.weights),
        delta=delta,
    )


def layer_spread(layer: Layer) -> float:
    """Λ, infinite for a step."""
    slopes = slope_sensitivities(
        layer.neurons.points,
        layer.weights,
        activation=layer.neurons.activation,
        query_radius=layer.neurons.query_radius,
    )
    return sample_size.spread(layer.sensitivities(), slopes)


def largest_output(layer: Layer, *, search: Search, seed: int) -> float:
    """The largest magnitude found of what the next layer reads, over its outputs and the ball."""
    found = worst_queries(
        layer.neurons,
        layer.weights[None],
        search=search,
        generator=Generator().manual_seed(seed),
    )
    return float(found.peak[0])


def mean_and_deviation(values: Sequence[float]) -> dict[str, float]:
    """The mean and the standard deviation (0 for one value) of a sample."""
    return {"mean": statistics.fmean(values), "sd": spread(values)}
