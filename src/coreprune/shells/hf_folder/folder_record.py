"""The coreprune.json of a pruned folder, read back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreprune.errors import FileFormatError
from coreprune.shells.hf_folder.config import read_json
from coreprune.shells.hf_folder.records import FORMAT, BlockRecord, record_from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRecord:
    """What a folder says of its making.

    Attributes:
        widths: The neurons of every block.
        blocks: What was done to those that were cut, by name.
        repaired: Whether the folder was trained after it was cut.
    """

    widths: Mapping[str, int]
    blocks: Mapping[str, BlockRecord]
    repaired: bool


def read_folder_record(path: Path) -> FolderRecord:
    """Read a pruned folder's record.

    Args:
        path: Its coreprune.json.

    Returns:
        The record, its numbers checked.

    Raises:
        FileFormatError: When it is missing, damaged, or not of a folder.
    """
    if not path.is_file():
        raise FileFormatError(
            f"{path.parent} has no {path.name}; pass the folder that coreprune wrote"
        )
    document = read_json(path)
    if document.get("format") != FORMAT:
        raise FileFormatError(
            f"{path} has format {document.get('format')}, this version reads {FORMAT}; "
            "update coreprune"
        )
    widths = document.get("block_widths")
    if not isinstance(widths, dict) or not all(map(_is_width, widths.values())):
        raise FileFormatError(f"{path} does not tell the widths of blocks; prune again")
    try:
        found = [record_from_json(entry) for entry in document["blocks"]]
        sound = all(_is_sound(block, widths) for block in found)
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise FileFormatError(f"{path} does not tell what was done to every block; prune again")
    return FolderRecord(
        widths=widths,
        blocks={block.name: block for block in found},
        repaired=document.get("repair") is not None,
    )


def is_folder_record(path: Path) -> bool:
    """Whether a coreprune.json is that of a folder that was cut block by block."""
    try:
        return "block_widths" in read_json(path)
    except FileFormatError:
        return False  # whoever reads it next says what is wrong


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_sound(block: BlockRecord, widths: Mapping[str, Any]) -> bool:
    """Whether a record's numbers can be what they stand for."""
    kept = block.kept
    return (
        widths.get(block.name) == block.neurons_after == len(kept)
        and all(isinstance(index, int) for index in kept)
        and sorted(set(kept)) == list(kept)
        and 0 <= kept[0] <= kept[-1] < block.neurons_before
        and isinstance(block.certificate, int | float)
        and math.isfinite(block.certificate)
    )
