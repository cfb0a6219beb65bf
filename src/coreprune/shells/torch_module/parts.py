"""Splits into equal parts, as torch's exporter writes `chunk`, `split`, slices and `glu`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from torch import fx

from coreprune.core.activations import sigmoid
from coreprune.graph.ir import Elementwise, Multiply, Node, Pool
from coreprune.shells.torch_module.operators import name_of

SPLITS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split"})
"""Operators that give a list, of which `getitem` takes one part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualPart:
    """One of several parts of an axis that are equally large.

    Attributes:
        axis: The axis, counted from the front.
        index: Which part.
        count: Of how many.
    """

    axis: int
    index: int
    count: int


def is_split(node: object) -> TypeGuard[fx.Node]:
    """Whether a node gives a list of parts."""
    return isinstance(node, fx.Node) and name_of(node) in SPLITS


def equal_part(node: fx.Node) -> EqualPart | None:
    """The part that a slice, or an element of a split, takes; None where parts are not equal."""
    if name_of(node) == "getitem":
        split, index = node.args
        return _element(split, index)
    return _band(node) if name_of(node) == "slice" else None


def source_of(node: fx.Node) -> object:
    """What a slice, or an element of a split, is taken from."""
    source = node.args[0]
    return source.args[0] if is_split(source) else source


def _element(split: object, index: Any) -> EqualPart | None:  # noqa: ANN401
    if not is_split(split):
        return None
    given: list[Any] = [*split.args, split.kwargs.get("dim", 0)]
    values = split.meta["val"]
    axis = given[2] % values[0].ndim
    sizes = [value.shape[axis] for value in values]
    if not all(type(size) is int and size == sizes[0] for size in sizes):
        return None  # the sizes of dynamic shapes are symbols
    return EqualPart(axis=axis, index=index % len(sizes), count=len(sizes))


def _band(node: fx.Node) -> EqualPart | None:
    defaults: list[Any] = [None, 0, None, None, 1]
    given: list[Any] = [*node.args, *defaults[len(node.args) :]]
    source, axis, start, _, step = given
    value, start = source.meta["val"], start or 0
    whole, own = value.shape[axis], node.meta["val"].shape[axis]
    if not all(type(size) is int for size in (whole, own, start)) or step != 1 or not own:
        return None
    first = start % whole
    if whole % own or first % own or own == whole:
        return None
    return EqualPart(axis=axis % value.ndim, index=first // own, count=whole // own)


def opened_glu(
    source: str, output: str, *, axis: int, shapes: dict[str, tuple[int, ...]]
) -> Iterator[Node]:
    """A gated linear unit as what it is: the first half times the sigmoid of the second.

    Args:
        source: The value that it splits.
        output: What it gives.
        axis: The axis that it splits.
        shapes: Gets the shapes of the values in between.

    Yields:
        The nodes.
    """
    value, gate, opened = (f"{output}:{name}" for name in ("value", "gate", "opened"))
    shapes |= dict.fromkeys((value, gate, opened), shapes[output])
    axis %= len(shapes[source])
    for index, part in enumerate((value, gate)):
        yield Pool(input=source, output=part, operator="glu", axes=(axis,), part=(index, 2))
    yield Elementwise(name=opened, input=gate, output=opened, build=sigmoid)
    yield Multiply(inputs=(value, opened), output=output)
