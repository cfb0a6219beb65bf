"""A file in torch's words, used where it gives what ONNX Runtime gives."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreprune.shells.onnx_file.document import Document, opset_of
from coreprune.shells.onnx_file.nodes import operator_of
from coreprune.shells.onnx_file.rendition.given import Given
from coreprune.shells.onnx_file.rendition.layers import LAYERS
from coreprune.shells.onnx_file.rendition.layout import LAYOUT
from coreprune.shells.onnx_file.rendition.places import PLACES
from coreprune.shells.onnx_file.rendition.pointwise import POINTWISE
from coreprune.shells.onnx_file.session import first_line
from coreprune.shells.onnx_file.tensors import held_from_proto

if TYPE_CHECKING:
    from onnx import NodeProto

OPERATORS: Mapping[str, Callable[[Given], Any]] = {**POINTWISE, **LAYERS, **PLACES, **LAYOUT}
"""Torch's function for each of ONNX's operators that is known."""

Watch = Callable[[str, Tensor], None]
"""Called with a value and its name before anything reads it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendition:
    """A file as torch computes it.

    Attributes:
        constants: Values that are the same for every input, by name.
        nodes: Those that make the other values.
        outputs: The names of what the file gives, in order.
        opset: The version of ONNX's own operators.
    """

    constants: Mapping[str, Tensor]
    nodes: "tuple[NodeProto, ...]"
    outputs: tuple[str, ...]
    opset: int

    def run(self, inputs: Mapping[str, Tensor], watch: Watch | None = None) -> dict[str, Tensor]:
        """What the file gives, with derivatives where they are taken.

        Args:
            inputs: By name.
            watch: Sees every value.

        Returns:
            The outputs by name, in order.
        """
        values = {**self.constants, **inputs}
        for node in self.nodes:
            for name, value in _made(node, values, self.opset):
                if watch is not None:
                    watch(name, value)
                values[name] = value
        return {name: values[name] for name in self.outputs}


def rendition_of(
    document: Document, inputs: Mapping[str, Any], expected: Mapping[str, Any]
) -> Rendition | str:
    """A file in torch, if that gives the same on an example.

    Floating-point outputs of ONNX Runtime's and of torch's may differ by half the digits of the
    largest entry, and by what the type tells from 1; other outputs must have the same shapes.

    Args:
        document: The model.
        inputs: The example, by name.
        expected: What ONNX Runtime gives for it; outputs that torch does not have are not compared.

    Returns:
        The rendition, or in words why there is none.
    """
    unknown = {operator_of(node) for node in document.model.graph.node} - OPERATORS.keys()
    if unknown:
        return f"coreprune knows no derivative of {', '.join(sorted(unknown))}"
    try:
        made = _rendered(document)
        with torch.no_grad():
            obtained = made.run(inputs)
    except Exception as reason:  # noqa: BLE001 (torch's functions raise anything)
        return f"torch does not compute it: {first_line(reason)}"
    for name, right in expected.items():
        if isinstance(right, Tensor) and not _close(obtained[name], right):
            return f"torch gives another value of {name} than ONNX Runtime on the example inputs"
    return made


def _rendered(document: Document) -> Rendition:
    """What depends on no input is computed once."""
    constants, nodes = dict(_tensors(document)), []
    opset = opset_of(document.model) or 0
    for node in document.model.graph.node:
        if all(name in constants for name in node.input if name):
            constants |= dict(_made(node, constants, opset))
        else:
            nodes.append(node)
    outputs = tuple(entry.name for entry in document.model.graph.output)
    return Rendition(constants=constants, nodes=tuple(nodes), outputs=outputs, opset=opset)


def _tensors(document: Document) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the file holds.

    Raises:
        NotImplementedError: When torch does not have the type of one.
    """
    held = [held_from_proto(proto, proto.name) for proto in document.model.graph.initializer]
    for one in (*document.tensors.values(), *held):
        tensor = None if one is None else one.tensor()
        if one is None or tensor is None:
            raise NotImplementedError("a constant has a type that torch does not have")
        yield one.name, tensor


def _made(
    node: "NodeProto", values: Mapping[str, Tensor], opset: int
) -> Iterator[tuple[str, Tensor]]:
    """What a node gives, by name."""
    inputs = tuple(values[name] if name else None for name in node.input)
    found = OPERATORS[operator_of(node)](Given(node=node, inputs=inputs, opset=opset))
    several = found if isinstance(found, tuple) else (found,)
    for place, name in enumerate(node.output):
        if name:
            if place >= len(several):
                raise NotImplementedError(f"{node.op_type} with {len(node.output)} outputs")
            yield name, several[place]


def _close(left: Tensor, right: Tensor) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if not right.is_floating_point():
        return True  # a discrete output may flip where two scores tie
    finite = right[right.isfinite()].double().abs()
    largest = float(finite.max()) if finite.numel() else 0.0
    eps = torch.finfo(right.dtype).eps
    allowed = eps**0.5 * largest + eps
    return torch.allclose(left.double(), right.double(), rtol=0.0, atol=allowed, equal_nan=True)
