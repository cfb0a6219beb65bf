"""A document written to disk tensor by tensor; all of it appears at once or none does."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file.document import SMALL, Document, copy_fields
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.tensors import Held

LARGEST = 1_900_000_000
"""Bytes of a message, which protobuf limits to 2 GiB; tensors of more are written beside it."""
PAGE = 4096
"""External tensors begin at multiples of it, so that they can be mapped into memory."""
_GRAPH, _INITIALIZER, _RAW, _BYTES = 7, 5, 9, 2
"""Numbers of fields: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data; and the kind
of such with a length."""


def write(document: Document, path: str | Path) -> None:
    """Write a model into a file, its large tensors beside it where the original kept them so.

    Args:
        document: The model.
        path: The file; another one than the model came from, in a folder that exists.

    Raises:
        ArgumentError: When it is the original's file or cannot be written.
    """
    path = Path(path)
    check_target(document, path)
    external = bool(document.files) or document.size > LARGEST
    beside = path.with_name(f"{path.name}.data")
    if external and beside.exists():
        raise ArgumentError(
            f"{beside} exists already, where the tensors go; name another output, or remove it"
        )
    staging = [path.with_name(f".coreprune-{uuid4().hex}") for _ in range(2)]
    try:
        with staging[0].open("wb") as stream:
            if external:
                _write_external(document, stream, data=staging[1], name=beside.name)
            else:
                write_message(document, stream)
        if external:
            staging[1].replace(beside)
        staging[0].replace(path)
    except OSError as reason:
        raise ArgumentError(
            f"{path} cannot be written ({reason}); choose another place"
        ) from reason
    finally:
        for file in staging:
            file.unlink(missing_ok=True)


def check_target(document: Document, path: Path) -> None:
    """Refuse a place that would overwrite the original or cannot take the result.

    Raises:
        ArgumentError: Naming the file and the way out.
    """
    for source in (document.path, *document.files):
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise ArgumentError(f"output {path} is the original; name another file")
    check_place(path)


def check_place(path: Path) -> None:
    """Refuse a place that cannot take a file.

    Raises:
        ArgumentError: Naming it and the way out.
    """
    if path.is_dir():
        raise ArgumentError(f"output {path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ArgumentError(f"directory {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentError(f"{path.parent} cannot be written to; choose another place")


def write_message(document: Document, stream: BinaryIO) -> None:
    """Write a model with all its tensors as one message, one tensor in memory at a time.

    Args:
        document: The model, of less than 2 GiB.
        stream: What takes the bytes.
    """
    onnx = onnx_package()
    outer = onnx.ModelProto()
    copy_fields(document.model, outer, without=("graph",))
    graph = document.model.graph.SerializeToString()
    heads = [_entry(held) for held in document.tensors.values()]
    total = len(graph)
    for head, held in zip(heads, document.tensors.values(), strict=True):
        total += len(head) + held.data.nbytes
    stream.write(outer.SerializeToString())
    stream.write(_opening(_GRAPH, total))
    stream.write(graph)
    for head, held in zip(heads, document.tensors.values(), strict=True):
        stream.write(head)
        stream.write(held.data.data)


def _entry(held: Held) -> bytes:
    """All of a tensor's field in the graph's message but its entries, which come last."""
    head = bytes(held.header().SerializeToString()) + _opening(_RAW, held.data.nbytes)
    return _opening(_INITIALIZER, len(head) + held.data.nbytes) + head


def _opening(field: int, length: int) -> bytes:
    """The key of a field with a length, and the length, as protobuf writes them."""
    return _varint(field << 3 | _BYTES) + _varint(length)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def is_large(held: Held) -> bool:
    """Whether a tensor is worth a place beside the message."""
    return math.prod(held.shape) >= SMALL


def _write_external(document: Document, stream: BinaryIO, *, data: Path, name: str) -> None:
    places = dict(_places(document))
    with data.open("wb") as file:
        for held in filter(is_large, document.tensors.values()):
            file.write(b"\0" * (places[held.name] - file.tell()))
            file.write(held.data.data)
    stream.write(message_without(document, name, places).SerializeToString())


def _places(document: Document) -> Iterator[tuple[str, int]]:
    offset = 0
    for held in filter(is_large, document.tensors.values()):
        yield held.name, offset
        offset += -(-held.data.nbytes // PAGE) * PAGE


def message_without(document: Document, location: str, places: dict[str, int]):  # type: ignore[no-untyped-def]  # noqa: ANN201 (a message)
    """The model's message with its large tensors said to be in a file.

    Args:
        document: The model.
        location: The file's name.
        places: Where in it each tensor begins.

    Returns:
        A new message, in which small tensors are: whoever reads it may need the sizes among them.
    """
    onnx = onnx_package()
    model = onnx.ModelProto()
    model.CopyFrom(document.model)
    for held in document.tensors.values():
        proto = model.graph.initializer.add()
        if not is_large(held):
            proto.CopyFrom(held.proto())
            continue
        proto.CopyFrom(held.header())
        proto.data_location = onnx.TensorProto.EXTERNAL
        entries = {
            "location": location,
            "offset": str(places[held.name]),
            "length": str(held.data.nbytes),
        }
        for key, value in entries.items():
            proto.external_data.add(key=key, value=value)
    return model
