"""Pruning a folder's blocks through Ray, against the plain loop with as many threads in all."""

import argparse
import importlib
import shutil
import tempfile
import time
from pathlib import Path

from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.llama_shaped.folder import Shape, write_folder

SHAPE = Shape(hidden=512, neurons=1536, layers=8)
LIMIT = 0.1


def main(*, rounds: int = 1, shape: Shape = SHAPE) -> float:
    """Print what the plain loop and a cluster of one CPU take for the same folder.

    The cluster runs before time is taken; that its worker starts, and imports torch, counts.

    Args:
        rounds: How often each is timed, in turns; the least counts.
        shape: The folder's.

    Returns:
        What Ray adds, as a share of the plain loop's time.

    Raises:
        RuntimeError: When the two folders differ.
    """
    ray = importlib.import_module("ray")
    folder = Path(tempfile.mkdtemp(prefix="on-ray-"))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    plain, through = [], []
    try:
        write_folder(folder / "big", shape)
        for _ in range(rounds):
            plain.append(_seconds(folder, "plain"))
            through.append(_seconds(folder, "ray", ray_address="local"))
            if _contents(folder / "plain") != _contents(folder / "ray"):
                raise RuntimeError("Ray's folder must be the plain loop's to the byte")
    finally:
        ray.shutdown()
        shutil.rmtree(folder)
    share = min(through) / min(plain) - 1
    print(
        f"{shape.layers} blocks of n = {shape.neurons}, d = {shape.hidden}, one thread: "
        f"plain loop {min(plain):.1f} s, {min(plain) / shape.layers:.1f} s a block; through Ray "
        f"{min(through):.1f} s: {share:+.1%} (limit {LIMIT:.0%})"
    )
    return share


def _seconds(folder: Path, name: str, *, ray_address: str | None = None) -> float:
    shutil.rmtree(folder / name, ignore_errors=True)
    start = time.perf_counter()
    prune_folder(folder / "big", folder / name, keep=0.5, ray_address=ray_address)
    return time.perf_counter() - start


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    raise SystemExit(main(rounds=parser.parse_args().rounds) > LIMIT)
