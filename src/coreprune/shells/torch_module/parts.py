"""Splits into equal parts, as torch's exporter writes `chunk`, `split`, slices and `glu`."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from torch import fx

from coreprune.core.activations import sigmoid
from coreprune.graph.ir import Elementwise, Multiply, Node, Pool
from coreprune.shells.torch_module.names import Names
from coreprune.shells.torch_module.operators import name_of, readable

SPLITS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split"})
"""Operators that give a list, of which `getitem` takes one part."""
_Part = tuple[int, int, int]
"""The axis, counted from the front; which of several equal parts of it; of how many."""


def is_split(node: object) -> TypeGuard[fx.Node]:
    """Whether a node gives a list of parts."""
    return isinstance(node, fx.Node) and name_of(node) in SPLITS


def part_pool(node: fx.Node, names: Names) -> Pool | None:
    """The part that a slice, or an element of a split, takes; None where parts are not equal."""
    source: Any = node.args[0]
    found = _band(node) if name_of(node) == "slice" else None
    if name_of(node) == "getitem" and is_split(source):
        found, source = _element(source, node.args[1]), source.args[0]
    if found is None or not names.is_value(source):
        return None
    axis, index, count = found
    return Pool(
        input=names.value(source),
        output=names.value(node),
        operator=readable(node),
        axes=(axis,),
        part=(index, count),
    )


def _element(split: fx.Node, index: Any) -> _Part | None:  # noqa: ANN401
    given: list[Any] = [*split.args, split.kwargs.get("dim", 0)]
    values = split.meta["val"]
    axis = given[2] % values[0].ndim
    sizes = [value.shape[axis] for value in values]
    if not all(type(size) is int and size == sizes[0] for size in sizes):
        return None  # the sizes of dynamic shapes are symbols
    return axis, index % len(sizes), len(sizes)


def _band(node: fx.Node) -> _Part | None:
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
    return axis % value.ndim, first // own, whole // own


def opened_glu(
    node: fx.Node, names: Names, *, shapes: dict[str, tuple[int, ...]]
) -> Iterator[Node]:
    """A gated linear unit as what it is: the first half times the sigmoid of the second.

    Args:
        node: The unit, of a value.
        names: What the graph calls it.
        shapes: Gets the shapes of the values in between.

    Yields:
        The nodes.
    """
    given: list[Any] = [*node.args, node.kwargs.get("dim", -1)]
    source, output = names.value(given[0]), names.value(node)
    axis = given[1] % len(shapes[source])
    value, gate, opened = (f"{output}:{name}" for name in ("value", "gate", "opened"))
    shapes |= dict.fromkeys((value, gate, opened), shapes[output])
    for index, part in enumerate((value, gate)):
        yield Pool(input=source, output=part, operator="glu", axes=(axis,), part=(index, 2))
    yield Elementwise(name=opened, input=gate, output=opened, build=sigmoid)
    yield Multiply(inputs=(value, opened), output=output)
