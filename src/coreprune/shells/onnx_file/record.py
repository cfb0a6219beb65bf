"""How an ONNX file came about, kept in its own metadata."""

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coreprune.errors import FileFormatError
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.writing import write

KEY, FORMAT = "coreprune", 1
"""Of the entry that holds the record, and its version."""


def save_file(document: Document, path: Path, *, record: Mapping[str, Any]) -> None:
    """Write a pruned file with its record.

    Args:
        document: The pruned model.
        path: Another file than the original's.
        record: What the entry of the metadata says, but for the curve.

    Raises:
        ArgumentError: When it is the original's file or cannot be written.
    """
    model = onnx_package().ModelProto()
    model.CopyFrom(document.model)
    others = [entry for entry in model.metadata_props if entry.key != KEY]
    kept = [type(entry).FromString(entry.SerializeToString()) for entry in others]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    told = {"format": FORMAT, "library_version": version("coreprune"), **record}
    told.pop("curve", None)  # what other sizes would cost is more than a small file holds
    model.metadata_props.add(key=KEY, value=json.dumps(told, ensure_ascii=False))
    write(replace(document, model=model), path)


def record_in(document: Document) -> dict[str, Any]:
    """The record that `save_file` put into a file.

    Raises:
        FileFormatError: When there is none, or it is damaged or of another version.
    """
    where = document.path or "the model"
    texts = [entry.value for entry in document.model.metadata_props if entry.key == KEY]
    if not texts:
        raise FileFormatError(f"{where} has no record of coreprune; pass a file that prune wrote")
    try:
        record = json.loads(texts[0])
    except (ValueError, RecursionError) as reason:
        raise FileFormatError(
            f"the record in {where} is damaged ({reason}); save the result again"
        ) from reason
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FileFormatError(f"the record in {where} is not of format {FORMAT}; update coreprune")
    return record
