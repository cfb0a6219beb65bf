"""Certifying a layer of n = k = d neurons that was pruned to half, against pruning it."""

import time

import torch
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.certificate import STEPS, certificate, refinements
from coreprune.core.coreset import layer_coreset
from coreprune.core.neuron_sums import NeuronSums, coreset_difference
from coreprune.core.query_set import ball

SIZE, RADIUS = 1024, 10.0


def main() -> tuple[float, float]:
    """Print what pruning takes, and the bounds of all rows at once and of every neuron for itself.

    Pruning is the closed-form moments, backward elimination and the new weights. The bounds of
    every neuron for itself are one pass of refinements over both signs of all sums.

    Returns:
        How often the time of pruning the whole-layer bound takes, and the seconds of the bounds of
        every neuron.
    """
    torch.set_num_threads(2)
    sums, pruning = _pruned(SIZE)
    space = ball(RADIUS, dimension=SIZE)
    start = time.perf_counter()
    whole = certificate(sums, space, effort=0.0)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    *_, refined = refinements(sums, space, passes=STEPS[:1])
    single = time.perf_counter() - start
    print(f"pruning a layer of n = k = d = {SIZE} to half, ReLU: {pruning:.2f} s")
    print(
        f"its whole-layer bound: {seconds:.2f} s, {seconds / pruning:.2f} × pruning "
        f"(norm at most {whole.norm:.1f}, outputs at most {float(whole.bound.amax()):.2f})"
    )
    print(
        f"its bounds neuron by neuron: {single:.0f} s "
        f"(on average {float(refined.bound.mean() / whole.bound.mean()):.2f} × as large)"
    )
    return seconds / pruning, single


def _pruned(size: int) -> tuple[NeuronSums, float]:
    """Original minus pruned, and the seconds that pruning took."""
    generator = Generator().manual_seed(0)
    points, weights = (
        torch.randn(size, size, generator=generator, dtype=torch.float64) / size**0.5
        for _ in range(2)
    )
    bias = 0.1 * torch.randn(size, generator=generator, dtype=torch.float64)
    start = time.perf_counter()
    subset = layer_coreset(
        points,
        weights,
        num_neurons=size // 2,
        activation=relu(),
        query_radius=RADIUS,
        bias=bias,
        method="backward",
        generator=generator,
    )
    seconds = time.perf_counter() - start
    sums = coreset_difference(points, weights, subset, activation=relu(), bias=bias)
    return sums, seconds


if __name__ == "__main__":
    main()
