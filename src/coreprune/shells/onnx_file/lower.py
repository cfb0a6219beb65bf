"""From an ONNX file to the neutral graph."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from coreprune.graph.ir import (
    Add,
    Affine,
    Convolution,
    Elementwise,
    Graph,
    Multiply,
    Node,
    Norm,
    Opaque,
    inputs_of,
    parameters_of,
)
from coreprune.shells.onnx_file.document import Document
from coreprune.shells.onnx_file.elementwise import elementwise, names_of_values
from coreprune.shells.onnx_file.linear import (
    convolution,
    gemm,
    matmul,
    normalisation,
    with_bias,
)
from coreprune.shells.onnx_file.nodes import STANDARD, operator_of, reads_of, subgraphs_of
from coreprune.shells.onnx_file.parameters import Book, Stored
from coreprune.shells.onnx_file.places import RESHAPES, concatenation, layout, pool
from coreprune.shells.onnx_file.shapes import Shaped
from coreprune.shells.onnx_file.sizes import sizes_only
from coreprune.shells.onnx_file.spellings import Spellings
from coreprune.shells.onnx_file.splits import equal_parts
from coreprune.shells.onnx_file.tensors import held_from_proto
from coreprune.shells.onnx_file.view import View, view_of
from coreprune.shells.onnx_file.words import words_for

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_LAYERS: Mapping[str, Callable[["NodeProto", View, Book], Node | None]] = {
    "BatchNormalization": normalisation,
    "Conv": convolution,
    "Gemm": gemm,
    "MatMul": matmul,
}
_SUMS: Mapping[str, type[Add] | type[Multiply]] = {
    "Add": Add,
    "Div": Multiply,
    "Mul": Multiply,
    "Sub": Add,
    "Sum": Add,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lowered:
    """A file in the graph language, and the way back.

    Attributes:
        graph: What it computes; its parameters share the document's memory.
        stored: Where each parameter that a cut may change is in the file.
        view: The file as it was lowered.
    """

    graph: Graph
    stored: Mapping[str, Stored]
    view: View


def lower(document: Document, shaped: Shaped) -> Lowered:
    """The graph of an ONNX file.

    Args:
        document: The model.
        shaped: The shapes of its values.

    Returns:
        The graph; what is not understood is opaque in it.
    """
    view = view_of(document, shaped.shapes)
    book = Book(fixed=view.fixed)
    nodes = _nodes(view, book)
    inputs = [entry.name for entry in document.model.graph.input if entry.name not in view.fixed]
    graph = Graph(
        nodes=tuple(_named_apart(nodes)),
        inputs=frozenset(inputs),
        outputs=view.leaving,
        shapes=shaped.shapes,
        parameters=book.parameters,
        notes=shaped.notes,
    )
    return Lowered(graph=graph, stored=book.stored, view=view)


def _nodes(view: View, book: Book) -> list[Node]:
    silent = sizes_only(view)
    spelled = Spellings()
    made: dict[str, Node] = {}
    for number, node in enumerate(view.nodes):
        outputs = [name for name in node.output if name]
        if outputs and all(name in silent or name in view.fixed for name in outputs):
            continue
        if (parts := equal_parts(node, view)) is not None:
            made |= parts
            continue
        biased = _biased(node, view, book, made=made)
        if biased is not None:
            before = next(name for name in node.input if name in made)
            made = {(biased.output if key == before else key): one for key, one in made.items()}
            made[biased.output] = biased
            continue
        lowered = _lowered(node, view, book, spelled=spelled) if outputs else None
        key = outputs[0] if outputs else f"node {number}"
        made[key] = lowered if lowered is not None else _opaque(node, view, book, silent=silent)
    return _read(list(made.values()), view)


def _biased(
    node: "NodeProto", view: View, book: Book, *, made: Mapping[str, Node]
) -> Affine | Convolution | None:
    """The layer that an Add completes."""
    if operator_of(node) != "Add":
        return None
    layers = [made[name] for name in node.input if name in made]
    if len(layers) == 1 and isinstance(layers[0], Affine | Convolution):
        return with_bias(layers[0], node, view, book=book)
    return None


def _lowered(node: "NodeProto", view: View, book: Book, *, spelled: Spellings) -> Node | None:
    if node.domain not in STANDARD:
        return None
    if node.op_type in _LAYERS:
        return _LAYERS[node.op_type](node, view, book)
    if node.op_type in RESHAPES or node.op_type == "Transpose":
        return layout(node, view)
    if node.op_type == "Concat":
        return concatenation(node, view)
    return elementwise(node, view, book, spelled=spelled) or pool(node, view) or _merged(node, view)


def _merged(node: "NodeProto", view: View) -> Add | Multiply | None:
    """A sum or product of values with the same number of axes."""
    make, output = _SUMS.get(node.op_type), node.output[0]
    known = all(view.is_value(name) for name in (*node.input, output))
    if make is None or not known or len(node.input) < 2:
        return None
    if len(set(node.input)) < len(node.input):
        return None  # a square
    ranks = {len(view.shapes[name]) for name in (*node.input, output)}
    return make(inputs=tuple(node.input), output=output) if len(ranks) == 1 else None


def _opaque(node: "NodeProto", view: View, book: Book, *, silent: set[str]) -> Opaque:
    outputs = tuple(name for name in node.output if name)
    label = node.name or (outputs[0] if outputs else operator_of(node))
    key = outputs[0] if outputs else label
    positions = {name: place for place, name in enumerate(node.input)}
    reads = reads_of(node)
    entered = [
        book.other(name, (key, positions.get(name, -1))) for name in reads if name in view.fixed
    ]
    names = [name for name in entered if name is not None]
    for inner in subgraphs_of(node):
        for name, tensor in _tensors_of(inner):
            book.parameters[f"{label}/{name}"] = tensor
            names.append(f"{label}/{name}")
    return Opaque(
        name=label,
        operator=words_for(node, view),
        inputs=tuple(name for name in names_of_values(reads, view) if name not in silent),
        outputs=outputs,
        parameters=tuple(dict.fromkeys(names)),
    )


def _tensors_of(graph: "GraphProto") -> Iterator[tuple[str, Tensor]]:
    """The floating-point tensors that a subgraph holds, single numbers aside."""
    protos = [(proto.name, proto) for proto in graph.initializer]
    for node in graph.node:
        if operator_of(node) == "Constant":
            protos += [(node.output[0], e.t) for e in node.attribute if e.HasField("t")]
        for inner in subgraphs_of(node):
            yield from _tensors_of(inner)
    for name, proto in protos:
        held = held_from_proto(proto, name)
        tensor = None if held is None else held.tensor()
        if tensor is not None and tensor.is_floating_point() and tensor.numel() > 1:
            yield name, tensor


def _read(nodes: list[Node], view: View) -> list[Node]:
    """Without the nodes of a spelling that only the function that they spell has read."""
    wanted, kept = set(view.leaving), []
    for node in reversed(nodes):
        outputs = node.outputs if isinstance(node, Opaque) else (node.output,)
        if parameters_of(node) or wanted & set(outputs) or not _is_of_spelling(node, view):
            wanted |= set(inputs_of(node))
            kept.append(node)
    return kept[::-1]


def _is_of_spelling(node: Node, view: View) -> bool:
    """Whether what a node gives is read in the file, and nothing else happens there."""
    if isinstance(node, Opaque):
        makers = [view.makers.get(name) for name in node.outputs]
        return all(one is not None and next(subgraphs_of(one), None) is None for one in makers)
    return True


def _named_apart(nodes: list[Node]) -> Iterator[Node]:
    """Nodes of the same name told apart by what they give."""
    seen: set[str] = set()
    for node in nodes:
        if isinstance(node, Affine | Convolution | Norm | Elementwise | Opaque):
            if node.name in seen:
                output = node.outputs[:1] if isinstance(node, Opaque) else (node.output,)
                node = replace(node, name=" → ".join((node.name, *output)))
            seen.add(node.name)
        yield node
