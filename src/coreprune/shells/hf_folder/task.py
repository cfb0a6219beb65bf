"""One block's share of the work, small enough to be sent to another process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from coreprune.shells.hf_folder.blocks import Block
from coreprune.shells.hf_folder.cutting import CutBlock, Wish, cut_block
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.seen import Seen
from coreprune.shells.hf_folder.staging import Spot, write_tensors
from coreprune.shells.hf_folder.stored import Tensors
from coreprune.shells.hf_folder.weights import read_tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A block to cut.

    Attributes:
        block: The block.
        num_neurons: m.
        wish: How.
        sources: The files of the original that hold its tensors, by their names.
        target: The folder to be.
        spots: Where its tensors may go, by their names.
        need: The memory that cutting it takes, in bytes.
    """

    block: Block
    num_neurons: int
    wish: Wish
    sources: Mapping[str, Path]
    target: Path
    spots: Mapping[str, Spot]
    need: int


def tensors_of(task: Task) -> Tensors:
    """The block's tensors as stored."""
    return {name: read_tensor(path, name) for name, path in task.sources.items()}


def cut(task: Task, tensors: Tensors, *, seen: Seen | None = None) -> CutBlock:
    """Cut the block: the same bits in every process of a machine, whatever else it does."""
    with torch_threads(task.wish.threads):
        return cut_block(
            task.block, tensors, num_neurons=task.num_neurons, wish=task.wish, seen=seen
        )


def cut_and_write(task: Task, *, seen: Seen | None = None) -> BlockRecord:
    """Read, cut and write the block; what was done, for the journal."""
    done = cut(task, tensors_of(task), seen=seen)
    write_tensors(task.target, done.tensors, task.spots)
    return done.record


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch have so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
