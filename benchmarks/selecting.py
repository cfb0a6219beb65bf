"""Selecting and reweighting half of a wide layer, against the Gram matrix of its queries."""

import argparse
import resource
import time

import torch
from torch import Generator, Tensor

from coreprune.core.moments import Moments
from coreprune.core.selection.paths import PATH_METHODS, PathMethod, Reader, subsets_of
from coreprune.coresets.moments import ROWS_A_NEURON

NEURONS, OUTPUTS = 4096, 1024
LARGE = 16384
LIMIT_GIB = 16.0
_BATCH = 4096


def main() -> dict[PathMethod, float]:
    """Print what each method takes next to forming the Gram matrix of 10 n queries in float64.

    Returns:
        How often the Gram matrix's time, by the method.
    """
    torch.set_num_threads(2)
    generator = Generator().manual_seed(0)
    weights = torch.randn(OUTPUTS, NEURONS, generator=generator, dtype=torch.float64)
    moments, reference = _moments(NEURONS, generator, rows=ROWS_A_NEURON * NEURONS)
    ratios: dict[PathMethod, float] = {}
    for method in PATH_METHODS:
        seconds = _seconds(method, weights, moments)
        ratios[method] = seconds / reference
        print(
            f"{method} with weights, n = {NEURONS}, k = {OUTPUTS}, half kept: {seconds:.1f} s, "
            f"{ratios[method]:.2f} × the Gram matrix of {ROWS_A_NEURON} n queries "
            f"({reference:.1f} s)"
        )
    return ratios


def large(neurons: int = LARGE) -> float:
    """Print the time and the peak memory of the default method on a very wide layer.

    The moments are those of one query a neuron: they cost as much memory as those of any number.

    Returns:
        The peak resident memory of this process in GiB.
    """
    torch.set_num_threads(2)
    generator = Generator().manual_seed(0)
    weights = torch.randn(OUTPUTS, neurons, generator=generator, dtype=torch.float64)
    moments, _ = _moments(neurons, generator, rows=neurons)
    seconds = _seconds("optimal", weights, moments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"optimal with weights, n = {neurons}, k = {OUTPUTS}, half kept: {seconds:.0f} s, "
        f"{peak:.1f} GiB at the peak (limit {LIMIT_GIB:.0f})"
    )
    return peak


def _moments(neurons: int, generator: Generator, *, rows: int) -> tuple[Moments, float]:
    """Correlated rectified queries' moments, and the seconds that the products alone took."""
    mixing = torch.randn(neurons // 4, neurons, generator=generator, dtype=torch.float64)
    gram = torch.zeros(neurons, neurons, dtype=torch.float64)
    total, seconds = torch.zeros(neurons, dtype=torch.float64), 0.0
    for _ in range(rows // _BATCH):
        source = torch.randn(_BATCH, len(mixing), generator=generator, dtype=torch.float64)
        batch = (source @ mixing).relu_()
        total += batch.sum(0)
        start = time.perf_counter()
        gram.addmm_(batch.T, batch)
        seconds += time.perf_counter() - start
    count = rows // _BATCH * _BATCH
    mean = total / count
    return Moments(mean=mean, covariance=gram.div_(count).addr_(mean, mean, alpha=-1)), seconds


def _seconds(method: PathMethod, weights: Tensor, moments: Moments) -> float:
    start = time.perf_counter()
    subsets_of(method, [Reader(weights, moments)], num_neurons=weights.shape[1] // 2)
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help=f"n = {LARGE}, for its memory")
    if parser.parse_args().large:
        raise SystemExit(large() > LIMIT_GIB)
    main()
