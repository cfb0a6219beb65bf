"""Peak memory of one call in a process of its own: `python -m experiments.peers.memory …`."""

import argparse
import contextlib
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from experiments.lenet import lenet
from experiments.peers.contenders import Effort, contenders

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measured(
    name: str, model: nn.Sequential, widths: tuple[int, int], *, effort: Effort, folder: Path
) -> dict[str, float | None]:
    """What the first and the second call cost in a fresh process.

    Args:
        name: In the table of contenders.
        model: LeNet-300-100.
        widths: Neurons kept in fc1 and fc2.
        effort: What it may spend.
        folder: Where the network is written for the other process.

    Returns:
        `first_seconds`, `first_mib`, `again_seconds` and `again_mib`.
    """
    weights = folder / "lenet.safetensors"
    save_file(model.state_dict(), weights)
    command = [sys.executable, "-m", "experiments.peers.memory", name, str(weights)]
    command += [str(width) for width in widths] + ["--effort", json.dumps(asdict(effort))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the network, call twice, and print what each call cost as JSON.

    Args:
        arguments: The command line's; None reads it.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.peers.memory", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("weights", type=Path)
    parser.add_argument("widths", type=int, nargs=2)
    parser.add_argument("--effort", type=json.loads, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    contender = contenders(Effort(**options.effort))[options.name]
    model = lenet(seed=0)
    model.load_state_dict(load_file(options.weights))
    subject = contender.prepare(model)
    costs = {}
    for call in ("first", "again"):
        seconds, mib = _cost(contender.prune, subject, tuple(options.widths), 0)
        costs |= {f"{call}_seconds": seconds, f"{call}_mib": mib}
    print(json.dumps(costs))


def _cost(function: Callable[..., object], *arguments: object) -> tuple[float, float | None]:
    """Seconds, and the peak of the resident memory above what it was before, in MiB."""
    before = _restart_peak()
    started = time.perf_counter()
    function(*arguments)
    seconds = time.perf_counter() - started
    mib = None if before is None else round(_resident("VmHWM") - before, 1)
    return round(seconds, 3), mib


def _restart_peak() -> float | None:
    """Forget the peak of imports and loading; Linux alone can, elsewhere None is given back.

    Freed memory that the allocator holds back goes to the system first: else a call that uses it
    again would seem to need none.
    """
    with contextlib.suppress(AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR.write_text("5")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(key: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
