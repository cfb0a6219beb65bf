"""The values of a graph that are the same for every input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.nodes import attribute, operator_of
from coreprune.shells.onnx_file.tensors import TYPES, held_from_proto

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fixed:
    """A constant.

    Attributes:
        root: The tensor of the file that it is a view of; its own name where it is put together.
        tensor: Its entries, in the type in which the file holds them.
    """

    root: str
    tensor: Tensor


def fixed_values(document: Document) -> dict[str, Fixed]:
    """The constants of the main graph, behind changes of their layout too, by name.

    Args:
        document: The model.

    Returns:
        Tensors that share the document's memory where they are large.
    """
    found: dict[str, Fixed] = {}
    for held in document.tensors.values():
        _note(found, held.name, held.tensor())
    for proto in document.model.graph.initializer:
        small = held_from_proto(proto, proto.name)
        _note(found, proto.name, None if small is None else small.tensor())
    for node in document.model.graph.node:
        if operator_of(node) == "Constant":
            _note(found, node.output[0], value_of_constant(node))
        elif node.input and node.input[0] in found:
            _derive(node, found)
    return found


def _note(found: dict[str, Fixed], name: str, tensor: Tensor | None) -> None:
    if tensor is not None:
        found[name] = Fixed(root=name, tensor=tensor)


def value_of_constant(node: "NodeProto") -> Tensor | None:
    """What a Constant holds; None for what is no tensor that torch has."""
    for entry in node.attribute:
        if entry.name == "value":
            held = held_from_proto(entry.t, node.output[0])
            return None if held is None else held.tensor()
        if entry.name in {"value_int", "value_ints"}:
            return torch.tensor(attribute(node, entry.name), dtype=torch.int64)
        if entry.name in {"value_float", "value_floats"}:
            return torch.tensor(attribute(node, entry.name), dtype=torch.float32)
    return None


def _derive(node: "NodeProto", found: dict[str, Fixed]) -> None:
    """Note what a node makes of constants, if it changes their layout or puts them together."""
    read = [found.get(name) for name in node.input if name]
    rule = _LAYOUTS.get(operator_of(node))
    given = [one.tensor for one in read if one is not None]
    if rule is None or len(given) != len(read) or len(node.output) != 1:
        return
    try:
        tensor = rule(node, given)
    except (RuntimeError, ValueError, IndexError):
        return  # the checker does not look at sizes; the node is then an unknown one
    if tensor is None:
        return
    first = read[0]
    together = operator_of(node) == "Concat" or first is None
    root = node.output[0] if together or first is None else first.root
    found[node.output[0]] = Fixed(root=root, tensor=tensor)


def _transposed(node: "NodeProto", given: list[Tensor]) -> Tensor:
    order = attribute(node, "perm", list(reversed(range(given[0].ndim))))
    return given[0].permute(*order)


def _reshaped(_: "NodeProto", given: list[Tensor]) -> Tensor:
    tensor, sizes = given[0], given[1].tolist()
    filled = [tensor.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return tensor.reshape(filled)


def _squeezed(node: "NodeProto", given: list[Tensor]) -> Tensor:
    axes = given[1].tolist() if len(given) > 1 else attribute(node, "axes")
    return given[0].squeeze() if axes is None else given[0].squeeze(tuple(axes))


def _unsqueezed(node: "NodeProto", given: list[Tensor]) -> Tensor:
    axes = given[1].tolist() if len(given) > 1 else attribute(node, "axes")
    rank = given[0].ndim + len(axes)
    tensor = given[0]
    for axis in sorted(axis % rank for axis in axes):
        tensor = tensor.unsqueeze(axis)
    return tensor


def _flattened(node: "NodeProto", given: list[Tensor]) -> Tensor:
    axis = attribute(node, "axis", 1)
    lead = given[0].shape[:axis].numel()
    return given[0].reshape(lead, -1)


def _cast(node: "NodeProto", given: list[Tensor]) -> Tensor | None:
    wanted = TYPES.get(attribute(node, "to"))
    if wanted is None:
        return None
    if wanted.is_floating_point and given[0].is_floating_point():
        return given[0]  # the numbers are what counts; edits are made before the cast
    return given[0].to(wanted)


def _concatenated(node: "NodeProto", given: list[Tensor]) -> Tensor | None:
    if any(tensor.is_floating_point() for tensor in given):
        return None  # several weights in one
    return torch.cat(given, attribute(node, "axis"))


_LAYOUTS: Mapping[str, Callable[["NodeProto", list[Tensor]], Tensor | None]] = {
    "Cast": _cast,
    "Concat": _concatenated,
    "Flatten": _flattened,
    "Identity": lambda _, given: given[0],
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
