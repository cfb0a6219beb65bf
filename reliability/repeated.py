"""Prune the same network again and again: `python -m reliability.repeated`.

Fresh processes with the same seed must give the same bytes. With another number of threads sums are
added up in another order, so weights may differ by rounding: by no more than `TOLERANCE` of the
largest, and the same neurons must stay.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import torch
from torch import nn

import coreprune
from coreprune.shells.torch_module.files import tensors_hash

TOLERANCE = 1e-4
"""Of weights in float32, relative to the largest of their tensor."""
LAW = coreprune.Ball(3.0)
"""Drawn in an instant; how laws are drawn repeats in the same way."""
NETWORKS = {
    "plain": (
        lambda: nn.Sequential(
            nn.Linear(40, 96), nn.ReLU(), nn.Linear(96, 64), nn.GELU(), nn.Linear(64, 10)
        ),
        (1, 40),
    ),
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 10),
        ),
        (1, 3, 8, 8),
    ),
}
"""How to build a network, and the shape of its input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process found of a network.

    Attributes:
        digest: SHA-256 of all tensors.
        kept: The kept neurons of each group.
        weights: All numbers, by the tensors' names.
    """

    digest: str
    kept: dict[str, list[int]]
    weights: dict[str, list[float]]


def run(*, threads: int) -> dict[str, Run]:
    """Prune every network in one fresh process.

    Args:
        threads: torch's, in that process.

    Returns:
        What it found, by the names of `NETWORKS`.
    """
    command = [sys.executable, "-m", "reliability.repeated", "--worker", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "COREPRUNE_CACHE": ""}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return {name: Run(**found) for name, found in json.loads(done.stdout).items()}


def _work(threads: int) -> None:
    torch.set_num_threads(threads)
    print(json.dumps({name: _pruned(name) for name in NETWORKS}))


def _pruned(network: str) -> dict[str, object]:
    torch.manual_seed(0)
    build, shape = NETWORKS[network]
    result = coreprune.prune(build().eval(), torch.ones(shape), keep=0.5, seed=1, queries=LAW)
    tensors = result.model.state_dict()
    return {
        "digest": tensors_hash(tensors),
        "kept": {group.name: list(group.kept) for group in result.groups},
        "weights": {name: tensor.double().flatten().tolist() for name, tensor in tensors.items()},
    }


def difference(one: Run, other: Run) -> float:
    """The largest difference of a weight, relative to the largest of its tensor.

    Args:
        one: A run.
        other: Another, in which the same neurons stay.

    Returns:
        The difference.
    """
    return max(
        max(abs(a - b) for a, b in zip(numbers, other.weights[name], strict=True))
        / (max(map(abs, numbers)) or 1)
        for name, numbers in one.weights.items()
    )


def main() -> int:
    """Compare runs.

    Returns:
        The exit status: 1 when runs with the same threads differ, or others by more than rounding.
    """
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = asked.parse_args()
    if args.worker:
        _work(args.worker)
        return 0
    faults = 0
    runs = [run(threads=threads) for threads in (1, 1, 2)]
    for network in NETWORKS:
        first, again, threaded = (found[network] for found in runs)
        same, kept = first.digest == again.digest, first.kept == threaded.kept
        apart = difference(first, threaded) if kept else float("inf")
        print(f"{network}: same bytes {same}; with two threads off by {apart:.2g}", flush=True)
        faults += not same or apart > TOLERANCE
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
