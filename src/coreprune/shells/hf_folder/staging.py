"""A folder on its way: shards written in place, a journal of what is done, one move at the end.

Beside the target stands `.<name>.coreprune`, with a plan, a journal and the folder to be. Every
shard has its final length from the start, as widths are known before neurons are chosen; what is
not cut is copied, and every block is written to its places when it is done. A run that is killed
goes on where the journal ends.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.layout import Layout, copied_places
from coreprune.shells.hf_folder.weights import Shard, bytes_of

_CHUNK = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a tensor goes.

    Attributes:
        path: The file.
        start: Its first byte there.
        shape: Its planned shape.
    """

    path: Path
    start: int
    shape: tuple[int, ...]


def place_beside(target: Path) -> Path:
    """Where a folder is until it is complete."""
    return target.parent / f".{target.name}.coreprune"


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """What goes wrong on disk is told in words.

    Raises:
        ArgumentError: With what to do.
    """
    try:
        yield
    except OSError as reason:
        raise ArgumentError(
            f"target {target} cannot be written ({reason}); what is done so far is kept in "
            f"{place_beside(target)}: make room and run the same command again to go on, or "
            "remove it"
        ) from reason


def write_tensors(target: Path, tensors: Mapping[str, Tensor], spots: Mapping[str, Spot]) -> None:
    """Write a block's tensors to their places; several processes may write several blocks.

    Args:
        target: The folder to be.
        tensors: By name.
        spots: Where they go, by name.

    Raises:
        ArgumentError: When a tensor is not of the planned shape, or cannot be written.
    """
    for name, value in tensors.items():
        if tuple(value.shape) != (planned := spots[name].shape):
            raise ArgumentError(
                f"{name} must have the planned shape {planned}, got {tuple(value.shape)}"
            )
    with writing(target):
        for name, value in tensors.items():
            with spots[name].path.open("r+b") as file:
                file.seek(spots[name].start)
                file.write(bytes_of(value))
                _settle(file)


class Staging:
    """The output of one run, resumed or new."""

    def __init__(self, target: Path, plan: Mapping[str, Any]) -> None:
        """Take up the run that was planned like this, or begin it.

        Args:
            target: The folder to be; what stands in its way beside it from a run with another plan
                is removed.
            plan: Everything that the output depends on, as JSON takes it.
        """
        self.target = target
        self.root = place_beside(target)
        self.folder = self.root / "folder"
        self.journal = self.root / "journal.jsonl"
        self.planned = self.root / "plan.json"
        with writing(self.target):
            self._open(json.dumps(plan, sort_keys=True, indent=1))
        self.shards_done: set[str] = set()
        self.blocks_done: dict[str, dict[str, Any]] = {}
        for entry in self._entries():
            if "shard" in entry:
                self.shards_done.add(entry["shard"])
            else:
                self.blocks_done[entry["block"]] = entry["record"]

    def _open(self, plan: str) -> None:
        known = self.planned.is_file() and self.planned.read_text(encoding="utf-8") == plan
        if not known or not self.folder.is_dir():  # it appeared as the target, and only then died
            if self.root.exists():
                self._remove()
            self.folder.mkdir(parents=True)
            self.planned.write_text(plan, encoding="utf-8")

    def _entries(self) -> Iterator[dict[str, Any]]:
        """What the journal says; a last line that was cut short is struck out."""
        if not self.journal.is_file():
            return
        text = self.journal.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        with writing(self.target):
            os.truncate(self.journal, len(whole))
        for line in whole.splitlines():
            yield json.loads(line)

    def _note(self, entry: Mapping[str, Any]) -> None:
        with self.journal.open("ab") as file:
            file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
            _settle(file)

    def check_room(self, layouts: Mapping[str, Layout]) -> None:
        """See that shards that are not begun yet will fit.

        Args:
            layouts: Of all shards to be, by name.

        Raises:
            ArgumentError: With what is needed and what is free.
        """
        needed = sum(
            layout.num_bytes for name, layout in layouts.items() if name not in self.shards_done
        )
        free = shutil.disk_usage(self.root).free
        if needed > free:
            if not self.shards_done:
                self.discard()
            raise ArgumentError(
                f"target {self.target} needs {needed:,} bytes, but {free:,} are free there; "
                "make room or choose another place"
            )

    def discard(self) -> None:
        """Remove all that was written."""
        with suppress(OSError):
            self._remove()

    def _remove(self) -> None:
        """The plan goes first: without it nobody takes up what is left when this is stopped."""
        self.planned.unlink(missing_ok=True)
        shutil.rmtree(self.root)

    def begin_shard(self, name: str, shard: Shard, after: Layout) -> None:
        """Write a shard's header and copy what is not cut.

        Args:
            name: The file's name.
            shard: The original.
            after: Its layout to be.
        """
        if name in self.shards_done:
            return
        header = after.header
        with writing(self.target), shard.path.open("rb") as source:
            with (self.folder / name).open("wb") as file:
                file.write(header)
                file.truncate(len(header) + after.num_bytes)
                for old, new in copied_places(shard.layout, after):
                    source.seek(shard.begin + old.start)
                    file.seek(len(header) + new.start)
                    _copy(source, file, old.stop - old.start)
                _settle(file)
            self._note({"shard": name})
        self.shards_done.add(name)

    def spot(self, name: str, file: str, layout: Layout) -> Spot:
        """Where a tensor will be.

        Args:
            name: The tensor's.
            file: The shard that holds it.
            layout: That shard's layout to be.

        Returns:
            The place.
        """
        place = layout.places[name]
        start = len(layout.header) + place.start
        return Spot(path=self.folder / file, start=start, shape=place.shape)

    def note_block(self, name: str, record: Mapping[str, Any]) -> None:
        """Note that a block's tensors are in their places.

        Args:
            name: The block's.
            record: What was done.
        """
        with writing(self.target):
            self._note({"block": name, "record": dict(record)})
        self.blocks_done[name] = dict(record)

    def write_text(self, name: str, text: str) -> None:
        """Write a small file of the folder."""
        with writing(self.target):
            (self.folder / name).write_text(text, encoding="utf-8")

    def copy(self, source: Path, name: str) -> None:
        """Copy a file of the original as it is."""
        with writing(self.target):
            place = self.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)

    def finish(self) -> None:
        """Let the folder appear."""
        with writing(self.target):
            if self.target.is_dir():
                self.target.rmdir()  # empty, or it would have been refused
            self.folder.replace(self.target)
        self.discard()


def _copy(source: BinaryIO, file: BinaryIO, size: int) -> None:
    """Copy so many bytes.

    Raises:
        OSError: When the source ends before.
    """
    while size:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise OSError("the source ended while it was read")
        file.write(chunk)
        size -= len(chunk)


def _settle(file: BinaryIO) -> None:
    """Wait until what was written is on disk."""
    file.flush()
    os.fsync(file.fileno())
