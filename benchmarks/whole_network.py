"""What pruning LeNet-300-100 takes from the call to the checked result."""

import time

import torch

import coreprune
from coreprune.demo import LeNet300100

LAWS: dict[str, coreprune.Gaussian | None] = {
    "closed form": coreprune.Gaussian(),
    "default law, sampled": None,
}


def main() -> dict[str, float]:
    """Print the least processor seconds of several calls under both laws, on one thread.

    Returns:
        The seconds by the law's name.
    """
    torch.set_num_threads(1)
    model, example = LeNet300100(), torch.full((1, 784), 1 / 3)
    found = {name: _seconds(model, example, law) for name, law in LAWS.items()}
    for name, seconds in found.items():
        print(f"LeNet-300-100 to half of its neurons, {name}: {seconds:.2f} s")
    return found


def _seconds(
    model: LeNet300100, example: torch.Tensor, law: coreprune.Gaussian | None, *, repeats: int = 3
) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        coreprune.prune(model, example, keep=0.5, queries=law)
        best = min(best, time.process_time() - start)
    return best
