"""A pruned folder against its original: every block certified anew from the tensors as stored."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coreprune.errors import ArgumentError, FileFormatError
from coreprune.progress import Progress, silent
from coreprune.shells.hf_folder.blocks import Block, find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.families import Family
from coreprune.shells.hf_folder.folder_record import FolderRecord, read_folder_record
from coreprune.shells.hf_folder.records import RECORD
from coreprune.shells.hf_folder.stored import shapes_after
from coreprune.shells.hf_folder.verified_block import VerifiedBlock, same_bits, verified_block
from coreprune.shells.hf_folder.weights import Weights, find_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderVerification:
    """A pruned folder against its original.

    Attributes:
        source: The original.
        target: The pruned folder.
        blocks: Every block that was cut, in order.
        changed: Tensors that pruning leaves alone and that differ nevertheless.
        space: What the certificates speak of, in words.
        holds: Whether every certificate holds and nothing else differs.
        failure: Why it does not, in one line, or an empty text.
        notes: What a careful user should know.
    """

    source: Path
    target: Path
    blocks: tuple[VerifiedBlock, ...]
    changed: tuple[str, ...]
    space: str
    holds: bool
    failure: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self) | {"source": self.source.name, "target": self.target.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two folders and what the record says.

    Attributes:
        big: The original's tensors.
        small: The pruned folder's.
        record: Of the pruned folder.
        blocks: All blocks of the original.
    """

    big: Weights
    small: Weights
    record: FolderRecord
    blocks: tuple[Block, ...]

    @property
    def cut(self) -> list[Block]:
        """The blocks that lost neurons."""
        return [block for block in self.blocks if block.name in self.record.blocks]


def verify_folder(
    source: str | Path,
    target: str | Path,
    *,
    family: Family | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FolderVerification:
    """Prove again how far every block of a pruned folder can be off, and attack that.

    Certificates are recomputed from the tensors of both folders, compared with those in
    coreprune.json, and attacked with outputs of the norm before each block: drawn ones, and ascents
    to worse. One block is in memory at a time; nothing is written and no code of a folder is run.

    Args:
        source: The folder that was pruned.
        target: What `prune_folder` wrote.
        family: The row of your own that `prune_folder` was given.
        seed: Of the attack.
        progress: Called as (what, done, of).

    Returns:
        What holds.

    Raises:
        ArgumentError: When there is no such folder.
        FileFormatError: When a file is missing or damaged, or the two do not belong together.
        UnsupportedModelError: When the original's family is unknown.

    Example:
        >>> verify_folder("no/such/folder", "small")
        Traceback (most recent call last):
        coreprune.errors.ArgumentError: source must be a folder, got no/such/folder
    """
    tell = progress if progress is not None else silent
    pair = _pair(Path(source), Path(target), family)
    cut, blocks = pair.cut, []
    for done, block in enumerate(cut):
        tell("certifying blocks", done, len(cut))
        tensors = pair.big.read(block.tensors), pair.small.read(block.tensors)
        blocks.append(
            verified_block(block, *tensors, record=pair.record.blocks[block.name], seed=seed)
        )
    tell("comparing what stays", 0, 1)
    changed, repaired = tuple(_changed(pair)), pair.record.repaired
    failures = [f"{block.name}: {block.reason}" for block in blocks if not block.holds]
    if changed and not repaired:
        failures.append(f"not cut, and yet not the original's: {_listed(changed)}")
    return FolderVerification(
        source=Path(source),
        target=Path(target),
        blocks=tuple(blocks),
        changed=changed,
        space=next((record.space for record in pair.record.blocks.values()), ""),
        holds=not failures,
        failure=failures[0] if failures else "",
        notes=tuple(_notes(pair, changed)),
    )


def _notes(pair: _Pair, changed: tuple[str, ...]) -> Iterator[str]:
    if not pair.record.blocks:
        yield "no block was cut"
    if changed and pair.record.repaired:
        yield f"training changed what is not cut as well: {_listed(changed)}"
    if any(pair.record.widths[block.name] == block.neurons for block in pair.blocks):
        yield "blocks that keep all their neurons are compared tensor by tensor"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _pair(source: Path, target: Path, family: Family | None) -> _Pair:
    """Read what both folders say.

    Raises:
        ArgumentError: When there is no such folder.
        FileFormatError: When they do not belong together.
    """
    config = read_config(source, family=family)
    big = find_weights(source)
    blocks = find_blocks(config, big)
    if not target.is_dir():
        raise ArgumentError(f"target must be a folder that coreprune wrote, got {target}")
    record = read_folder_record(target / RECORD)
    small = find_weights(target)
    apart = sorted(big.homes.keys() ^ small.homes.keys())
    names = [block.name for block in blocks]
    if apart or sorted(record.widths) != sorted(names):
        what = _listed(tuple(apart or sorted(set(names) ^ set(record.widths))))
        raise FileFormatError(
            f"{target} was not made from {source}: only one of them has {what}; "
            "pass the folder that was pruned"
        )
    pair = _Pair(big=big, small=small, record=record, blocks=blocks)
    _check_shapes(pair, target)
    return pair


def _check_shapes(pair: _Pair, target: Path) -> None:
    """Refuse tensors of other shapes than the record says.

    Raises:
        FileFormatError: With those that are.
    """
    wanted = {name: pair.big.place(name).shape for name in pair.big.homes}
    for block in pair.blocks:
        width = pair.record.widths[block.name]
        if width != block.neurons:
            own = {name: wanted[name] for name in block.tensors}
            wanted |= shapes_after(block, own, width)
    wrong = [name for name in wanted if pair.small.place(name).shape != wanted[name]]
    if wrong:
        raise FileFormatError(
            f"{target} does not have the shapes that its {RECORD} tells: {_listed(tuple(wrong))}; "
            "prune again"
        )


def _touched(block: Block, weights: Weights) -> set[str]:
    """The names of the tensors that a cut of a block changes."""
    shapes = {name: weights.place(name).shape for name in block.tensors}
    return {*shapes_after(block, shapes, 1), *filter(None, [block.down_bias])}


def _changed(pair: _Pair) -> Iterator[str]:
    """What is not cut and differs in a bit."""
    touched = {name for block in pair.cut for name in _touched(block, pair.big)}
    for name in pair.big.homes:
        if name not in touched:
            (old,), (new,) = (part.read([name]).values() for part in (pair.big, pair.small))
            if not same_bits(old, new):
                yield name
