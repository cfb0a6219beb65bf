"""An ONNX file in memory: its graph, and apart from it the tensors, each held once."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreprune.errors import FileFormatError
from coreprune.shells.onnx_file.external import external_tensors, load_inside, located, mapped
from coreprune.shells.onnx_file.nodes import STANDARD
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.tensors import Held, held_from_proto

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OLDEST = 11
"""The oldest set of operators that is understood."""
SMALL = 1024
"""Tensors of fewer entries stay in the graph's message: shapes and the like are among them."""
_APART = 4
"""Since this version of the format a tensor need not be declared as an input."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """A model; nothing writes to it.

    Attributes:
        model: Everything but the large tensors.
        tensors: The large tensors of the main graph by name.
        path: The file that it came from; None for one that was never in a file.
        files: The files beside it that hold tensors.
    """

    model: "ModelProto"
    tensors: Mapping[str, Held]
    path: Path | None = None
    files: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes it takes as one message."""
        large: int = sum(held.data.nbytes for held in self.tensors.values())
        return large + int(self.model.ByteSize())


def read(path: str | Path) -> Document:
    """Read and check an ONNX file.

    Args:
        path: The file; tensors that it keeps in others must be in its folder.

    Returns:
        The model.

    Raises:
        FileFormatError: When it is missing, damaged, no valid ONNX model or too old, or when a file
            beside it is missing or outside its folder.

    Example:
        >>> read("nowhere.onnx")
        Traceback (most recent call last):
        coreprune.errors.FileFormatError: nowhere.onnx does not exist; pass an .onnx file
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileFormatError(f"{path} {what}; pass an .onnx file")
    document = from_model(_parsed(path), path)
    check(document)
    return document


def from_model(model: "ModelProto", path: Path | None = None) -> Document:
    """A model's message as a document; the message gives its large tensors away.

    Args:
        model: The message, not to be used afterwards.
        path: The file that it came from, in whose folder its external tensors are.

    Returns:
        The document.

    Raises:
        FileFormatError: When a file that holds tensors is missing or outside the folder.
    """
    folder = path.parent if path is not None else Path()
    files = dict.fromkeys(_file_of(tensor, folder) for tensor in external_tensors(model))
    small, tensors = _taken_apart(model, folder, inside=bool(files))
    return Document(model=small, tensors=tensors, path=path, files=tuple(files))


def _file_of(tensor: "TensorProto", folder: Path) -> Path:
    place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    return located(place, folder, tensor.name)


def _taken_apart(
    model: "ModelProto", folder: Path, *, inside: bool
) -> "tuple[ModelProto, dict[str, Held]]":
    """A model without the large tensors of its main graph, and those.

    Tensors that nodes hold may be kept in other files where `inside` says so.

    It is a new message: an old one keeps the memory of what was taken out of it.
    """
    held: dict[str, Held] = {}
    small = onnx_package().ModelProto()
    copy_fields(model, small, without=("graph",))
    copy_fields(model.graph, small.graph, without=("initializer", "node"))
    for tensor in model.graph.initializer:
        found = _apart(tensor, folder)
        if found is None:
            small.graph.initializer.append(tensor)
        else:
            held[found.name] = found
    for node in model.graph.node:
        found = _constant(node) if model.ir_version >= _APART else None
        if found is None:
            small.graph.node.append(node)
            if inside:
                load_inside(small.graph.node[-1], folder)
        else:
            held[found.name] = found
    return small, held


def copy_fields(source: Any, target: Any, *, without: Collection[str]) -> None:  # noqa: ANN401 (messages)
    """Copy all fields of a message but some.

    Args:
        source: The message.
        target: An empty one of the same kind.
        without: The names of fields.

    Raises:
        FileFormatError: When a text is not UTF-8, which protobuf hands over as bytes.
    """
    for field, value in source.ListFields():
        if isinstance(value, bytes):
            raise FileFormatError(
                f"the model's {field.name} is no UTF-8 text; it is damaged: export it again"
            )
        if field.name not in without and isinstance(value, str | int):
            setattr(target, field.name, value)
        elif field.name not in without:
            getattr(target, field.name).MergeFrom(value)


def _apart(tensor: "TensorProto", folder: Path) -> Held | None:
    if tensor.data_location == onnx_package().TensorProto.EXTERNAL:
        return Held(
            name=tensor.name,
            kind=tensor.data_type,
            shape=tuple(tensor.dims),
            data=mapped(tensor, folder),
        )
    return held_from_proto(tensor, tensor.name) if math.prod(tensor.dims) >= SMALL else None


def _constant(node: "NodeProto") -> Held | None:
    """A large tensor that a node holds: the same as one of the graph's own."""
    if node.op_type != "Constant" or node.domain not in STANDARD:
        return None
    value = next((entry.t for entry in node.attribute if entry.name == "value"), None)
    if value is None or math.prod(value.dims) < SMALL:
        return None
    return held_from_proto(value, node.output[0])


def _parsed(path: Path) -> "ModelProto":
    onnx = onnx_package()
    try:
        model: ModelProto = onnx.load(str(path), format="protobuf", load_external_data=False)
    except Exception as reason:
        raise FileFormatError(
            f"{path} is no ONNX file, or a part of one ({_first_line(reason)}); "
            "copy or export it again"
        ) from reason
    if not model.ir_version or not model.HasField("graph") or not model.opset_import:
        raise FileFormatError(f"{path} is no ONNX model; pass a file that an exporter wrote")
    version = opset_of(model)
    if version is not None and version < OLDEST:
        raise FileFormatError(
            f"{path} has opset {version}, coreprune reads {OLDEST} and later; convert it: "
            f"onnx.version_converter.convert_version(onnx.load({path.name!r}), 13)"
        )
    return model


def opset_of(model: "ModelProto") -> int | None:
    """The version of ONNX's own operators that a model uses; None where it uses none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    return versions[0] if versions else None


def declared(document: Document) -> "ModelProto":
    """The model without its large tensors, which are declared as inputs: enough for its shapes."""
    onnx = onnx_package()
    model: ModelProto = onnx.ModelProto()
    model.CopyFrom(document.model)
    present = {entry.name for entry in model.graph.input}
    for held in document.tensors.values():
        if held.name not in present:
            model.graph.input.append(
                onnx.helper.make_tensor_value_info(held.name, held.kind, held.shape)
            )
    return model


def check(document: Document) -> None:
    """Insist on a valid model: operators that exist, values made before they are read.

    Raises:
        FileFormatError: With the checker's own reason.
    """
    onnx = onnx_package()
    where = document.path or "the model"
    try:
        onnx.checker.check_model(declared(document))
    except Exception as reason:
        raise FileFormatError(
            f"{where} is no valid ONNX model: {_first_line(reason)}; export it again, "
            "or update the package onnx if it is newer"
        ) from reason
    for held in document.tensors.values():
        tensor = held.tensor()
        if tensor is None and held.kind in (1, 10, 11):
            raise FileFormatError(
                f"{where}: {held.name} of shape {held.shape} has {held.data.nbytes} bytes, which "
                "do not fit; export the model again"
            )


def _first_line(reason: BaseException) -> str:
    return next(iter(str(reason).strip().splitlines()), type(reason).__name__)
