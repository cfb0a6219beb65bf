"""Functions of each entry, in one node or spelled in several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coreprune.core.activations import prelu
from coreprune.core.elementwise import Activation, affine, identity
from coreprune.graph.ir import Elementwise
from coreprune.shells.onnx_file.activations import EVALUATED, Build, activation_of
from coreprune.shells.onnx_file.linear import is_of_neurons
from coreprune.shells.onnx_file.nodes import attribute
from coreprune.shells.onnx_file.parameters import Book
from coreprune.shells.onnx_file.recognition import with_factor
from coreprune.shells.onnx_file.spellings import DEEPEST, Spellings
from coreprune.shells.onnx_file.tensors import FLOATING
from coreprune.shells.onnx_file.view import View

if TYPE_CHECKING:
    from onnx import NodeProto

Operands = list[float | str | None]
"""Numbers, the names of values, and None for what is left out."""
_NUMBERS = EVALUATED | {"PRelu"}
_FINE, _COARSE = 1e-6, 2e-3
"""How exact constants are in single and in half precision."""


def is_identity(node: "NodeProto", view: View) -> bool:
    """Whether a node leaves floating-point numbers as they are."""
    if node.op_type == "Dropout":
        training = view.number(node.input[2]) if len(node.input) > 2 and node.input[2] else 0.0
        return training == 0 and not any(node.output[1:])
    if node.op_type == "Cast":
        return attribute(node, "to") in FLOATING
    return node.op_type == "Identity"


def elementwise(
    node: "NodeProto", view: View, book: Book, *, spelled: Spellings
) -> Elementwise | None:
    """A node as a function of each entry of one value: the longest spelling that is known.

    Args:
        node: A node of ONNX's own operators.
        view: The file.
        book: The parameters.
        spelled: What the values before it are functions of; the node's own is entered.

    Returns:
        The function of its input, or of a value further back; None where it is no known one.
    """
    sources = _alike(node, view)
    if not sources:
        return None
    if is_identity(node, view):
        spelled.copy(node.output[0], sources[0])
        return _made(node, sources[0], identity)
    by_neuron = _by_neuron(node, view, book)
    if by_neuron is not None or node.op_type == "PRelu":
        return by_neuron
    operands = _operands(node, view)
    if operands is None:
        return None
    spelled.enter(node, operands)
    own = _own_function(node, operands)
    longest = _longest(node, view, spelled, alone=own is None)
    chosen = longest if longest is not None or own is None else (sources[0], own)
    return None if chosen is None else _made(node, *chosen)


def _alike(node: "NodeProto", view: View) -> list[str]:
    """The values that an operator of numbers reads; none where they are of another shape."""
    output = view.shapes.get(node.output[0])
    if any(node.output[1:]) or not (node.op_type in _NUMBERS or is_identity(node, view)):
        return []
    sources = [name for name in node.input if name and view.is_value(name)]
    return sources if all(view.shapes[name] == output for name in sources) else []


def _made(node: "NodeProto", source: str, build: Build) -> Elementwise:
    output = node.output[0]
    return Elementwise(name=node.name or output, input=source, output=output, build=build)


def _operands(node: "NodeProto", view: View) -> Operands | None:
    """Numbers and the names of values; None where something is neither."""
    found: Operands = []
    for name in node.input:
        number = view.number(name) if name else None
        if name and number is None and not view.is_value(name):
            return None
        found.append(number if number is not None else name or None)
    return found


def _own_function(node: "NodeProto", operands: Operands) -> Build | None:
    """The function that a node is of its one value."""
    if sum(isinstance(operand, str) for operand in operands) != 1:
        return None
    numbers = [None if isinstance(operand, str) else operand for operand in operands]
    return activation_of(node, numbers)


def _longest(
    node: "NodeProto", view: View, spelled: Spellings, *, alone: bool
) -> tuple[str, Build] | None:
    """The value furthest back of which a node gives a member of the family, and that member.

    Where it is no known function by itself, a member times a factor will do.
    """
    output = node.output[0]
    tolerance = _FINE if _is_fine(node, view) else _COARSE
    nearest = None
    for base, curve in reversed(spelled.known.get(output, {}).items()):
        if not alone and base in node.input:
            break  # the function that the node is known as
        one = spelled.member(curve, tolerance)
        if one is not None and one.factor == 1:
            return base, one.build
        nearest = (base, one) if one is not None else nearest
    return (nearest[0], with_factor(nearest[1])) if alone and nearest is not None else None


def _is_fine(node: "NodeProto", view: View) -> bool:
    """Whether no constant near the node is in half precision."""
    if not view.halves:
        return True
    halves = (torch.float16, torch.bfloat16)
    seen: set[str] = set()
    ahead = list(node.input)
    while ahead and len(seen) < 4 * DEEPEST:
        name = ahead.pop(0)
        if name in seen:
            continue
        seen.add(name)
        known = view.fixed.get(name)
        if known is not None and known.tensor.dtype in halves:
            return False
        maker = view.makers.get(name)
        if maker is not None and maker.op_type in EVALUATED:
            ahead.extend(maker.input)
    return True


def _by_neuron(node: "NodeProto", view: View, book: Book) -> Elementwise | None:
    """A function with a constant of its own for each entry of axis 1."""
    if node.op_type not in {"Add", "Div", "Mul", "PRelu", "Sub"} or len(node.input) != 2:
        return None
    place = 0 if node.input[0] in view.fixed else 1
    source, constant, output = node.input[1 - place], node.input[place], node.output[0]
    known = view.fixed.get(constant)
    if known is None or not view.is_value(source) or (place == 0 and node.op_type == "PRelu"):
        return None
    width = known.tensor.numel()
    single = width == 1 and node.op_type == "PRelu"
    if not single and not is_of_neurons(view, constant, value=source, axis=1):
        return None
    name = book.vector(constant, (output, place), size=width)
    if name is None:
        return None
    return Elementwise(
        name=node.name or output,
        input=source,
        output=output,
        build=_FUNCTIONS[node.op_type, place],
        parameters=(name,),
    )


def _stretched(factor: Tensor) -> Activation:
    return affine(factor.double(), 0.0)


def _shrunk(divisor: Tensor) -> Activation:
    return affine(1 / divisor.double(), 0.0)


def _raised(term: Tensor) -> Activation:
    return affine(1.0, term.double())


def _lowered(term: Tensor) -> Activation:
    return affine(1.0, -term.double())


def _turned(term: Tensor) -> Activation:
    return affine(-1.0, term.double())


_FUNCTIONS = {
    ("Add", 0): _raised,
    ("Add", 1): _raised,
    ("Div", 1): _shrunk,
    ("Mul", 0): _stretched,
    ("Mul", 1): _stretched,
    ("PRelu", 1): prelu,
    ("Sub", 0): _turned,
    ("Sub", 1): _lowered,
}
"""By the operator and which of the two is the constant."""


def names_of_values(names: Sequence[str], view: View) -> tuple[str, ...]:
    """Those of some names that are values of the network."""
    return tuple(name for name in names if name and name not in view.fixed)
