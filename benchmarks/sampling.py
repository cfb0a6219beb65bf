"""Importance sampling of a wide layer against one norm over the same weights."""

import time
from collections.abc import Callable

import torch
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.coreset import layer_coreset

NEURONS, INPUTS, OUTPUTS = 16384, 4096, 4096
SHARES = (0.1, 0.25, 0.5)


def main() -> dict[float, float]:
    """Print the ratio for several shares of neurons kept; every figure is the best of several.

    Returns:
        How often vector_norm's time importance takes, by the share kept.
    """
    torch.set_num_threads(2)
    points, weights = torch.randn(NEURONS, INPUTS), torch.randn(OUTPUTS, NEURONS)

    def norms() -> None:
        torch.linalg.vector_norm(points)
        torch.linalg.vector_norm(weights)

    ratios = {}
    for share in SHARES:

        def coreset(num_neurons: int = round(share * NEURONS)) -> None:
            layer_coreset(
                points,
                weights,
                num_neurons=num_neurons,
                activation=relu(),
                query_radius=1.0,
                method="importance",
                generator=Generator().manual_seed(0),
            )

        reference, seconds = _best(norms, coreset)
        ratios[share] = seconds / reference
        print(
            f"importance, n = {NEURONS}, d = {INPUTS}, k = {OUTPUTS}, keep {share}: "
            f"{seconds * 1000:.0f} ms, {ratios[share]:.1f} × vector_norm "
            f"({reference * 1000:.0f} ms)"
        )
    return ratios


def _best(*functions: Callable[[], None], repeats: int = 25) -> list[float]:
    """The least seconds of each function, taken in turns, so often that other load misses one."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for position, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[position] = min(best[position], time.perf_counter() - start)
    return best
