"""The shapes of a graph's values after cuts, from those before and the new parameters."""

import math
from collections.abc import Mapping

from coreprune.graph.ir import (
    Add,
    Affine,
    Concat,
    Convolution,
    Elementwise,
    Graph,
    Multiply,
    Norm,
    Opaque,
    Parameters,
    Permute,
    Pool,
    Reshape,
    inputs_of,
)

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Known = (
    Affine | Convolution | Norm | Elementwise | Multiply | Add | Concat | Reshape | Permute | Pool
)


def shapes_after(graph: Graph, parameters: Parameters) -> dict[str, Shape]:
    """Follow new widths through a graph.

    Args:
        graph: The model before the cuts.
        parameters: Its parameters after them, at least those of other shapes.

    Returns:
        The shapes of the values that the graph's nodes give and of its inputs; what cannot be told
        stays as it was.
    """
    found = {name: graph.shapes[name] for name in graph.inputs if name in graph.shapes}
    for node in graph.nodes:
        if isinstance(node, Opaque):
            found |= {name: graph.shapes[name] for name in node.outputs if name in graph.shapes}
            continue
        now = {name: found.get(name, graph.shapes[name]) for name in inputs_of(node)}
        found[node.output] = _after(node, graph, now, parameters=parameters)
    return found


def _after(node: Known, graph: Graph, now: Shapes, *, parameters: Parameters) -> Shape:
    before = graph.shapes[node.output]
    match node:
        case Affine() | Convolution():
            shape = list(before)
            shape[-1 if isinstance(node, Affine) else 1] = _width(node, before, parameters)
            return tuple(shape)
        case Permute():
            return tuple(now[node.input][axis] for axis in node.order)
        case Reshape():
            return reshaped(graph.shapes[node.input], now[node.input], before)
        case Pool():
            return _pooled(node, graph.shapes[node.input], now[node.input], before=before)
        case Concat():
            total = sum(now[name][node.axis] for name in node.inputs)
            return (*before[: node.axis], total, *before[node.axis + 1 :])
    return _broadcast([(graph.shapes[name], now[name]) for name in now], before)


def _width(node: Affine | Convolution, before: Shape, parameters: Parameters) -> int:
    weight = parameters.get(node.weight)
    return before[-1 if isinstance(node, Affine) else 1] if weight is None else len(weight)


def _pooled(node: Pool, old: Shape, new: Shape, *, before: Shape) -> Shape:
    if node.part is not None:
        (axis,), (_, count) = node.axes, node.part
        return (*new[:axis], new[axis] // count, *new[axis + 1 :])
    left = [axis for axis in range(len(old)) if axis not in node.gone]
    if len(left) != len(before):
        return before
    return tuple(
        new[axis] if axis not in node.axes and old[axis] == size else size
        for axis, size in zip(left, before, strict=True)
    )


def _broadcast(pairs: list[tuple[Shape, Shape]], before: Shape) -> Shape:
    """Sizes that were those of the output go on being so."""
    sizes = list(before)
    for old, new in pairs:
        lead = len(before) - len(old)
        for axis, (was, now) in enumerate(zip(old, new, strict=True), start=lead):
            if was != now and was == before[axis]:
                sizes[axis] = now
    return tuple(sizes)


def reshaped(old: Shape, new: Shape, before: Shape) -> Shape:
    """The output of a reshape when some axes of its input have other sizes.

    Args:
        old: The input's shape before.
        new: The input's shape now.
        before: The output's shape before.

    Returns:
        Its shape now; as before where axes that were cut are mixed with others.

    Example:
        >>> reshaped((2, 8, 3, 3), (2, 5, 3, 3), (2, 72))
        (2, 45)
    """
    sizes = list(before)
    for axis, (was, now) in enumerate(zip(old, new, strict=True)):
        if was == now:
            continue
        lead = math.prod(old[:axis])
        for place, size in enumerate(before):
            starts = math.prod(before[:place]) == lead
            if starts and size > 1 and size * now % was == 0:
                sizes[place] = size * now // was
                break
    return tuple(sizes) if math.prod(sizes) == math.prod(new) else before
