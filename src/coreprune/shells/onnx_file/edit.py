"""A file with some of its parameters replaced, and what goes by their sizes set right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreprune.graph.ir import Convolution
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.lower import Lowered
from coreprune.shells.onnx_file.nodes import attribute, operator_of, reads_of
from coreprune.shells.onnx_file.packages import onnx_package
from coreprune.shells.onnx_file.splits import equal_parts
from coreprune.shells.onnx_file.tensors import TYPES, Held, held_from_tensor
from coreprune.shells.onnx_file.view import View
from coreprune.shells.onnx_file.widths import Shape, shapes_after

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_SIZES = {"Expand": 1, "Reshape": 1, "Resize": 3}
"""Which input of an operator holds the sizes of what it gives."""
_APART = 4
"""Before this version of the format every tensor had to be declared as an input."""


def edited(document: Document, lowered: Lowered, changed: Mapping[str, Tensor]) -> Document:
    """Put new tensors in the place of parameters.

    Args:
        document: The model; it is not touched.
        lowered: Its graph.
        changed: New tensors, as the graph language has them, by the parameters' names.

    Returns:
        A new model that shares the tensors that did not change. Sizes that the file writes out for
        reshapes, and the groups of depthwise convolutions, follow the new widths.
    """
    draft = _draft(document, lowered)
    for name, tensor in changed.items():
        draft.replace(name, tensor)
    after = shapes_after(lowered.graph, changed)
    _regroup(draft, lowered, changed)
    for node in list(draft.model.graph.node):
        place = _SIZES.get(operator_of(node))
        if place is not None and place < len(node.input) and node.output[0] in after:
            before = lowered.graph.shapes[node.output[0]]
            _resize(draft, node, place, before=before, after=after[node.output[0]])
    _resplit(draft, after)
    draft.tidy()
    _drop_stale(draft.model, lowered.graph.shapes, after)
    return Document(
        model=draft.model, tensors=draft.tensors, path=document.path, files=document.files
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draft:
    """A copy of a file under work.

    Attributes:
        model: The copy of its message.
        tensors: Its large tensors.
        view: The file before.
        lowered: Its graph.
        nodes: The copy's nodes by their first outputs.
        displaced: Values that may have lost their last reader.
        names: All names of values.
    """

    model: "ModelProto"
    tensors: dict[str, Held]
    view: View
    lowered: Lowered
    nodes: dict[str, "NodeProto"]
    displaced: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def replace(self, name: str, tensor: Tensor) -> None:
        """Write a parameter where its nodes read it, before casts."""
        stored = self.lowered.stored[name]
        for output, place in stored.uses:
            reader, slot = self._before_casts(self.nodes[output], place)
            value = reader.input[slot]
            self.put(reader, slot, stored.in_file(tensor).to(self._type_of(value)))

    def put(self, reader: "NodeProto", slot: int, tensor: Tensor) -> None:
        """Let a node read another constant, under the old name if nobody else reads the old one."""
        value = reader.input[slot]
        alone = len(self.view.readers[value]) == 1 and list(reader.input).count(value) == 1
        if alone and value not in self.view.leaving:
            self._remove(value)
        else:
            reader.input[slot] = self._new_name(value)
            self.displaced.append(value)
        self._add(held_from_tensor(tensor, reader.input[slot]))

    def _before_casts(self, reader: "NodeProto", slot: int) -> "tuple[NodeProto, int]":
        while True:
            value = reader.input[slot]
            maker = self.view.makers.get(value)
            if maker is None or operator_of(maker) not in {"Cast", "Identity"}:
                return reader, slot
            if len(self.view.readers[value]) != 1 or value in self.view.leaving:
                return reader, slot
            reader, slot = self.nodes[maker.output[0]], 0

    def _type_of(self, value: str) -> torch.dtype:
        """The type of a constant: of what the file holds, or of the last cast behind it."""
        maker = self.view.makers.get(value)
        while maker is not None and operator_of(maker) not in {"Cast", "Constant"}:
            maker = self.view.makers.get(maker.input[0])
        if maker is not None and operator_of(maker) == "Cast":
            return TYPES[attribute(maker, "to")]
        return self.view.fixed[value].tensor.dtype

    def _new_name(self, value: str) -> str:
        number = 1
        while f"{value}_{number}" in self.names:
            number += 1
        self.names.add(f"{value}_{number}")
        return f"{value}_{number}"

    def _add(self, held: Held) -> None:
        self.tensors[held.name] = held
        inputs = self.model.graph.input
        declared = next((entry for entry in inputs if entry.name == held.name), None)
        if declared is not None or self.model.ir_version < _APART:
            entry = declared if declared is not None else inputs.add()
            entry.CopyFrom(
                onnx_package().helper.make_tensor_value_info(held.name, held.kind, held.shape)
            )

    def _remove(self, value: str) -> None:
        """Take out what gives a constant."""
        self.tensors.pop(value, None)
        initializers = self.model.graph.initializer
        for place, proto in enumerate(initializers):
            if proto.name == value:
                del initializers[place]
                return
        node = self.nodes.get(value)
        if node is not None:
            self.displaced.extend(node.input)
            self.model.graph.node.remove(node)
            del self.nodes[value]

    def tidy(self) -> None:
        """Take out what lost its last reader."""
        while self.displaced:
            read = {name for node in self.model.graph.node for name in reads_of(node)}
            unread = {name for name in self.displaced if name in self.view.fixed} - read
            self.displaced.clear()
            for value in unread - self.view.leaving:
                self._remove(value)
                _undeclare(self.model, value)


def _undeclare(model: "ModelProto", value: str) -> None:
    for place, entry in enumerate(model.graph.input):
        if entry.name == value:
            del model.graph.input[place]
            return


def _draft(document: Document, lowered: Lowered) -> Draft:
    model = onnx_package().ModelProto()
    model.CopyFrom(document.model)
    view = lowered.view
    nodes = {node.output[0]: node for node in model.graph.node if node.output}
    names = {*view.readers, *view.makers, *document.tensors, *view.fixed}
    return Draft(
        model=model,
        tensors=dict(document.tensors),
        view=view,
        lowered=lowered,
        nodes=nodes,
        names=names,
    )


def _regroup(draft: Draft, lowered: Lowered, changed: Mapping[str, Tensor]) -> None:
    """Let depthwise convolutions have as many groups as channels."""
    for layer in lowered.graph.nodes:
        if not isinstance(layer, Convolution) or layer.groups == 1 or layer.weight not in changed:
            continue
        (output, _), *_ = lowered.stored[layer.weight].uses
        for entry in draft.nodes[output].attribute:
            if entry.name == "group":
                entry.i = len(changed[layer.weight])


def _resplit(draft: Draft, after: Mapping[str, Shape]) -> None:
    """Write the new sizes of equal parts where the file writes out the old ones."""
    for node in list(draft.model.graph.node):
        parts = equal_parts(node, draft.view)
        part = next(iter(parts.values())) if parts else None
        if part is None or part.input not in after:  # parts that nobody reads are not in it
            continue
        (axis,) = part.axes
        size = after[part.input][axis] // len(node.output)
        if size != draft.view.shapes[part.output][axis]:
            _set_sizes(draft, node, [size] * len(node.output))


def _set_sizes(draft: Draft, node: "NodeProto", sizes: list[int]) -> None:
    """Write the sizes of a split's parts where the file has them: an attribute, or an input."""
    for entry in node.attribute:
        if entry.name == "split":
            entry.ints[:] = sizes
    if len(node.input) > 1 and node.input[1]:
        draft.put(node, 1, torch.tensor(sizes, dtype=torch.int64))


def _resize(draft: Draft, node: "NodeProto", place: int, *, before: Shape, after: Shape) -> None:
    """Write new sizes where the file writes out the old ones."""
    for reader, slot, first, entries in _written(draft, node, place):
        sizes = [
            after[first + axis]
            if first + axis < len(after) and size == before[first + axis]
            else size
            for axis, size in enumerate(entries)
        ]
        if sizes != entries:
            shape = draft.view.fixed[reader.input[slot]].tensor.shape
            draft.put(reader, slot, torch.tensor(sizes, dtype=torch.int64).reshape(shape))


def _written(
    draft: Draft, node: "NodeProto", place: int
) -> "Iterator[tuple[NodeProto, int, int, list[int]]]":
    """Where sizes are written out: who reads them, where, from which axis on, and the sizes."""
    view, name = draft.view, node.input[place]
    whole = view.integers(name) if name else None
    if whole is not None:
        yield node, place, 0, whole
        return
    maker = view.makers.get(name)
    if maker is None or operator_of(maker) != "Concat" or len(view.readers[name]) != 1:
        return
    first = 0
    for slot, source in enumerate(maker.input):
        part, shape = view.integers(source), view.shapes.get(source)
        if part is not None:
            yield draft.nodes[maker.output[0]], slot, first, part
        elif shape is None or len(shape) != 1:
            return
        first += len(part) if part is not None else shape[0] if shape else 0


def _drop_stale(
    model: "ModelProto", before: Mapping[str, Shape], after: Mapping[str, Shape]
) -> None:
    """Forget shapes that are noted for values and may no longer hold."""
    holding = [entry for entry in model.graph.value_info if _holds(entry.name, before, after)]
    kept = [type(entry).FromString(entry.SerializeToString()) for entry in holding]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _holds(name: str, before: Mapping[str, Shape], after: Mapping[str, Shape]) -> bool:
    return name in after and after[name] == before.get(name)
