"""Pruning a folder's blocks through Ray, against the plain loop with as many threads in all."""

import argparse
import importlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.processor_time import processor_seconds
from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.llama_shaped.folder import Shape, write_folder

SHAPE = Shape(hidden=512, neurons=1536, layers=8)
LIMIT = 0.1


def main(*, rounds: int = 1, shape: Shape = SHAPE) -> float:
    """Print what a folder takes in the plain loop, and on a cluster of one CPU.

    The cluster and its worker run before anything is timed. What is judged is processor time, of
    this process and all of Ray's, which other work on the machine does not change; beside it the
    clock's time from one finished block to the next, medians of all rounds.

    Args:
        rounds: How often each is timed, in turns.
        shape: The folder's; at least two layers.

    Returns:
        What Ray adds, as a share of the plain loop's processor time.

    Raises:
        RuntimeError: When the two folders differ.
    """
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray spells it so)
    ray = importlib.import_module("ray")
    folder = Path(tempfile.mkdtemp(prefix="on-ray-"))
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init("local", num_cpus=1, **quiet)
    plain, through = Taken(), Taken()
    try:
        write_folder(folder / "big", Shape(hidden=8, neurons=16, layers=2))
        _prune(folder, "ray", Taken(), ray_address="local")
        write_folder(folder / "big", shape)
        for _ in range(rounds):
            _prune(folder, "plain", plain)
            _prune(folder, "ray", through, ray_address="local")
            if _contents(folder / "plain") != _contents(folder / "ray"):
                raise RuntimeError("Ray's folder must be the plain loop's to the byte")
    finally:
        ray.shutdown()
        shutil.rmtree(folder)
    share = through.processor / plain.processor - 1
    blocks = rounds * shape.layers
    print(
        f"a block of n = {shape.neurons}, d = {shape.hidden}, one thread: "
        f"{plain.processor / blocks:.2f} s of processor time in the plain loop, "
        f"{through.processor / blocks:.2f} s with all of Ray: {share:+.1%} (limit {LIMIT:.0%}); "
        f"by the clock {median(plain.blocks):.1f} s and {median(through.blocks):.1f} s"
    )
    return share


@dataclass(slots=True, kw_only=True)
class Taken:
    """What runs took, in seconds.

    Attributes:
        processor: Of the processor, all runs together.
        blocks: By the clock, from one finished block to the next.
    """

    processor: float = 0.0
    blocks: list[float] = field(default_factory=list)


def _prune(folder: Path, name: str, taken: Taken, *, ray_address: str | None = None) -> None:
    times: list[float] = []

    def note(what: str, *_: int) -> None:
        if what == "pruning blocks":
            times.append(time.perf_counter())

    shutil.rmtree(folder / name, ignore_errors=True)
    before = processor_seconds()
    prune_folder(folder / "big", folder / name, keep=0.5, ray_address=ray_address, progress=note)
    taken.processor += processor_seconds() - before
    taken.blocks += [after - before for before, after in pairwise(times)]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    raise SystemExit(main(rounds=parser.parse_args().rounds) > LIMIT)
