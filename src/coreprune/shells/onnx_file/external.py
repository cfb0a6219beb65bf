"""Tensors that an ONNX file keeps in files beside it: checked before anything is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coreprune.errors import FileFormatError
from coreprune.shells.onnx_file.tensors import Bytes

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

_EXTERNAL = 1
"""ONNX's number for a tensor whose entries are elsewhere."""


def external_tensors(model: "ModelProto") -> "list[TensorProto]":
    """Every tensor of a model, in subgraphs and attributes too, that is kept in another file."""
    return [tensor for tensor in _tensors(model.graph) if tensor.data_location == _EXTERNAL]


def load_inside(node: "NodeProto", folder: Path) -> None:
    """Fill in the external tensors of a node's attributes and subgraphs.

    Raises:
        FileFormatError: When a file is outside the folder, missing or too short.
    """
    for tensor in _held_by(node):
        if tensor.data_location == _EXTERNAL:
            tensor.raw_data = mapped(tensor, folder).tobytes()
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")


def _tensors(graph: "GraphProto") -> "Iterator[TensorProto]":
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _held_by(node)


def _held_by(node: "NodeProto") -> "Iterator[TensorProto]":
    for entry in node.attribute:
        if entry.HasField("t"):
            yield entry.t
        if entry.HasField("g"):
            yield from _tensors(entry.g)
        yield from entry.tensors
        for inner in entry.graphs:
            yield from _tensors(inner)


def mapped(tensor: "TensorProto", folder: Path) -> Bytes:
    """The entries of an external tensor as a private view of its file, read when they are used.

    Args:
        tensor: The message.
        folder: Where the model's file is.

    Returns:
        Its bytes. Shape (bytes,).

    Raises:
        FileFormatError: When its file is outside the folder, missing or too short.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = located(entries.get("location", ""), folder, tensor.name)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(file.stat().st_size - offset)))
    except ValueError as reason:
        raise FileFormatError(
            f"the place of {tensor.name} in {file} is no number ({reason}); export the model again"
        ) from reason
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        raise FileFormatError(
            f"{file} ends before the {length} bytes of {tensor.name}; copy it again, whole"
        )
    if not length:
        return np.zeros(0, dtype=np.uint8)
    # Copy on write: torch wants memory that could be written to, and the file must not be.
    return np.memmap(file, dtype=np.uint8, mode="c", offset=offset, shape=(length,))


def located(location: str, folder: Path, name: str) -> Path:
    """The file of an external tensor.

    Raises:
        FileFormatError: When it is outside the folder, or missing.
    """
    file = folder / location
    inside = file.resolve().is_relative_to(folder.resolve())
    if not location or Path(location).is_absolute() or not inside:
        raise FileFormatError(
            f"{name} is kept in {location!r}, which is not inside {folder}; "
            "coreprune reads only files of the model's own folder: move it there and export again"
        )
    if not file.is_file():
        raise FileFormatError(f"{file} is missing, which holds {name}; put it beside the model")
    return file
