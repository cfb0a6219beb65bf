"""Pruning a folder's blocks through Ray, against the plain loop with as many threads in all."""

import argparse
import importlib
import os
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.llama_shaped.folder import Shape, write_folder

SHAPE = Shape(hidden=512, neurons=1536, layers=8)
LIMIT = 0.1


def main(*, rounds: int = 1, shape: Shape = SHAPE) -> float:
    """Print what a block takes in the plain loop, and on a cluster of one CPU.

    The cluster runs before time is taken. That its worker starts and imports torch is told apart
    from what blocks take: from one that is done to the next, medians of all rounds.

    Args:
        rounds: How often each is timed, in turns.
        shape: The folder's; at least three layers.

    Returns:
        What Ray adds to a block, as a share of its time in the plain loop.

    Raises:
        RuntimeError: When the two folders differ.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray spells it so; a busy machine would prefer the plain loop)
    ray = importlib.import_module("ray")
    folder = Path(tempfile.mkdtemp(prefix="on-ray-"))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    plain, through, starts = [], [], []
    try:
        write_folder(folder / "big", shape)
        for _ in range(rounds):
            plain += _blocks(folder, "plain")
            first, *rest = _blocks(folder, "ray", ray_address="local")
            starts.append(first - median(rest))
            through += rest
            if _contents(folder / "plain") != _contents(folder / "ray"):
                raise RuntimeError("Ray's folder must be the plain loop's to the byte")
    finally:
        ray.shutdown()
        shutil.rmtree(folder)
    share = median(through) / median(plain) - 1
    print(
        f"a block of n = {shape.neurons}, d = {shape.hidden}, one thread: {median(plain):.1f} s in "
        f"the plain loop, {median(through):.1f} s through Ray: {share:+.1%} (limit {LIMIT:.0%}); "
        f"a worker starts in {max(starts):.1f} s, once"
    )
    return share


def _blocks(folder: Path, name: str, *, ray_address: str | None = None) -> list[float]:
    """The seconds from one finished block to the next, the first from the beginning."""
    times: list[float] = []

    def note(what: str, *_: int) -> None:
        if what == "pruning blocks":
            times.append(time.perf_counter())

    shutil.rmtree(folder / name, ignore_errors=True)
    prune_folder(folder / "big", folder / name, keep=0.5, ray_address=ray_address, progress=note)
    return [after - before for before, after in pairwise(times)]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    raise SystemExit(main(rounds=parser.parse_args().rounds) > LIMIT)
