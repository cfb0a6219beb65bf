"""Kill processes while they save: `python -m reliability.killed`.

A child process saves and is killed at a random moment. Its target must then be what it was before,
or complete; leftovers under other names must not stop the next save.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import coreprune
from coreprune.shells.hf_folder.prune_folder import prune_folder
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import record_in
from reliability.readers import bert_blocks, bert_folder, exported

KILLS = 200
WIDTH = 2048
"""Wide enough that most of the time goes into writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One way to save.

    Attributes:
        target: The target's name.
        save: Saves to it.
        state: What is there: "absent", "old" or "new"; an error where it is neither.
    """

    target: str
    save: Callable[[Path], object]
    state: Callable[[Path], str]


def module_directory(_: Path) -> Saving:
    """A module into a new directory."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64))
    result = coreprune.prune(net, torch.ones(1, 64), keep=0.5, method="magnitude")

    def state(target: Path) -> str:
        if not target.exists():
            return "absent"
        fresh = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64))
        coreprune.load(target, into=fresh)
        return "new"

    return Saving(target="small", save=result.save, state=state)


def onnx_file(folder: Path) -> Saving:
    """An .onnx file over an older one."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64)).eval()
    exported(net, torch.ones(1, 64), folder / "net.onnx")
    old, new = (
        coreprune.prune(folder / "net.onnx", keep=keep, method="magnitude") for keep in (0.5, 0.75)
    )
    old.save(folder / "small.onnx")
    kinds = {result.parameters_after: name for result, name in ((old, "old"), (new, "new"))}

    def state(target: Path) -> str:
        kind = kinds[record_in(read(target))["parameters_after"]]
        if kind == "new":
            old.save(target)
        return kind

    return Saving(target="small.onnx", save=new.save, state=state)


def transformers_folder(folder: Path) -> Saving:
    """A folder of shards into a new one; a later run goes on from where the killed one was."""
    (folder / "source").mkdir()
    bert_folder(folder / "source")

    def save(target: Path) -> object:
        return prune_folder(folder / "source", target, keep=0.5, method="magnitude")

    def state(target: Path) -> str:
        if not target.exists():
            return "absent"
        bert_blocks(target)
        return "new"

    return Saving(target="small", save=save, state=state)


SAVINGS: dict[str, Callable[[Path], Saving]] = {
    "module": module_directory,
    "onnx": onnx_file,
    "transformers": transformers_folder,
}
"""By name."""


def killed(saving: Saving, folder: Path, *, kills: int, seed: int) -> Counter[str]:
    """Save and kill, again and again.

    Args:
        saving: What to do.
        folder: Where; its target may be there already.
        kills: How often.
        seed: Of the moments.

    Returns:
        How often the target was in which state afterwards.

    Raises:
        ValueError: When the target was neither as before nor complete.
    """
    target, draw = folder / saving.target, random.Random(seed)
    begin = time.perf_counter()
    saving.save(target)
    seconds = time.perf_counter() - begin
    found: Counter[str] = Counter()
    for _ in range(kills):
        saving.state(target)
        if target.is_dir():
            shutil.rmtree(target)
        found[_killed_once(saving, target, after=draw.uniform(0, 1.5 * seconds))] += 1
    saving.state(target)
    if target.is_dir():
        shutil.rmtree(target)
    saving.save(target)  # nothing that was left stands in the way
    return found


def _killed_once(saving: Saving, target: Path, *, after: float) -> str:
    """Save in a child that is killed after some seconds.

    Raises:
        ValueError: When the target was neither as before nor complete.
    """
    child = os.fork()
    if not child:
        try:
            saving.save(target)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return saving.state(target)
    except Exception as reason:
        raise ValueError(f"killed after {after:.4f} s, {target} is damaged: {reason}") from reason


def main() -> int:
    """Try all ways to save.

    Returns:
        The exit status: 0, since a damaged target is an error.
    """
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=KILLS, help="of each way to save")
    asked.add_argument("--seed", type=int, default=0)
    args = asked.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    for name, make in SAVINGS.items():
        with tempfile.TemporaryDirectory(prefix="coreprune-killed-") as place:
            folder = Path(place)
            states = killed(make(folder), folder, kills=args.kills, seed=args.seed)
            print(f"{name}: {args.kills} kills, afterwards {dict(states)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
