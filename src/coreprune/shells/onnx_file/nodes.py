"""What a node of an ONNX graph says: its operator, its attributes, and what it reads in all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from coreprune.shells.onnx_file.packages import onnx_package

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

STANDARD = ("", "ai.onnx")
"""The names of ONNX's own set of operators."""


def operator_of(node: "NodeProto") -> str:
    """The operator; of another set than ONNX's own with the set's name before it."""
    return node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"


def attribute(node: "NodeProto", name: str, default: Any = None) -> Any:  # noqa: ANN401
    """An attribute's value, texts decoded, or the default where the node does not have it."""
    for entry in node.attribute:
        if entry.name == name:
            value = onnx_package().helper.get_attribute_value(entry)
            return value.decode(errors="replace") if isinstance(value, bytes) else value
    return default


def subgraphs_of(node: "NodeProto") -> "Iterator[GraphProto]":
    """The graphs in a node's attributes: the branches of an If, the body of a Loop."""
    for entry in node.attribute:
        if entry.HasField("g"):
            yield entry.g
        yield from entry.graphs


def reads_of(node: "NodeProto") -> tuple[str, ...]:
    """The values that a node reads, those that only its subgraphs read among them."""
    own = dict.fromkeys(name for name in node.input if name)
    for graph in subgraphs_of(node):
        own |= dict.fromkeys(_free_in(graph))
    return tuple(own)


def _free_in(graph: "GraphProto") -> Iterator[str]:
    """The values that a subgraph reads from around it."""
    known = {entry.name for entry in (*graph.input, *graph.initializer)}
    known |= {entry.values.name for entry in graph.sparse_initializer}
    for node in graph.node:
        yield from (name for name in reads_of(node) if name not in known)
        known |= set(node.output)
    yield from (entry.name for entry in graph.output if entry.name not in known)
