"""Nodes that only move entries: pools, resizes, pads, slices, reshapes, transposes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from coreprune.graph.ir import Concat, Permute, Pool, Reshape
from coreprune.shells.onnx_file.nodes import attribute
from coreprune.shells.onnx_file.view import Shape, View

if TYPE_CHECKING:
    from onnx import NodeProto

RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_EXTREMES = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})
_NAMES = {
    "AveragePool": "a pool",
    "Expand": "an expansion",
    "Gather": "a selection",
    "GlobalAveragePool": "a global pool",
    "GlobalMaxPool": "a global pool",
    "MaxPool": "a pool",
    "Pad": "a pad",
    "ReduceMax": "a maximum",
    "ReduceMean": "a mean",
    "ReduceMin": "a minimum",
    "Resize": "a resize",
    "Slice": "a slice",
}

Axes = tuple[Shape, Shape]
"""The axes whose positions are mixed, chosen or added, and those of them that are gone."""


def layout(node: "NodeProto", view: View) -> Reshape | Permute | None:
    """A node that gives the same entries under another shape or order."""
    source, output = node.input[0], node.output[0]
    if not view.is_value(source) or output not in view.shapes:
        return None
    if node.op_type != "Transpose":
        return Reshape(input=source, output=output)
    rank = len(view.shapes[source])
    order = attribute(node, "perm", list(reversed(range(rank))))
    return Permute(input=source, output=output, order=tuple(order))


def concatenation(node: "NodeProto", view: View) -> Concat | None:
    """Values side by side."""
    output = node.output[0]
    if not all(view.is_value(name) for name in (*node.input, output)):
        return None
    axis = attribute(node, "axis") % len(view.shapes[output])
    return Concat(inputs=tuple(node.input), output=output, axis=axis)


def pool(node: "NodeProto", view: View) -> Pool | None:
    """A node that treats everything off some axes alike; None for one that does more."""
    rule = _RULES.get(node.op_type)
    if rule is None or not node.input or not view.is_value(node.input[0]):
        return None
    if node.output[0] not in view.shapes or sum(map(bool, node.output)) > 1:
        return None
    axes = rule(node, view)
    if axes is None:
        return None
    return Pool(
        input=node.input[0],
        output=node.output[0],
        operator=_NAMES[node.op_type],
        axes=axes[0],
        gone=axes[1],
        is_linear=node.op_type not in _EXTREMES,
    )


def _spatial(node: "NodeProto", view: View) -> Axes:
    return tuple(range(2, len(view.shapes[node.input[0]]))), ()


def _changed(node: "NodeProto", view: View) -> Axes | None:
    """Those whose sizes differ; all behind the channels where none does."""
    before, after = view.shapes[node.input[0]], view.shapes[node.output[0]]
    if len(before) != len(after):
        return None
    pairs = zip(before, after, strict=True)
    changed = tuple(axis for axis, (old, new) in enumerate(pairs) if old != new)
    return (changed or _spatial(node, view)[0]), ()


def _resized(node: "NodeProto", view: View) -> Axes | None:
    leaves_range = attribute(node, "mode", "nearest") == "cubic"
    crops = attribute(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize"
    return None if leaves_range or crops else _changed(node, view)


def _expanded(node: "NodeProto", view: View) -> Axes | None:
    before, after = view.shapes[node.input[0]], view.shapes[node.output[0]]
    if len(before) != len(after):
        return None
    pairs = zip(before, after, strict=True)
    return tuple(axis for axis, (old, new) in enumerate(pairs) if old != new), ()


def _reduced(node: "NodeProto", view: View) -> Axes | None:
    rank = len(view.shapes[node.input[0]])
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        axes = view.integers(node.input[1])
        if axes is None:
            return None
    if not axes:
        return ((), ()) if attribute(node, "noop_with_empty_axes", 0) else None
    mixed = tuple(sorted(axis % rank for axis in axes))
    return mixed, () if attribute(node, "keepdims", 1) else mixed


def _padded(node: "NodeProto", view: View) -> Axes | None:
    rank = len(view.shapes[node.input[0]])
    given = [*node.input[1:], "", "", ""]
    amounts = view.integers(given[0])
    value = 0.0 if not given[1] else view.number(given[1])
    axes = list(range(rank)) if not given[2] else view.integers(given[2])
    if attribute(node, "mode", "constant") == "constant" and value != 0:
        return None
    if amounts is None or axes is None:
        before, after = view.shapes[node.input[0]], view.shapes[node.output[0]]
        same = before[:2] == after[:2]  # amounts that are computed: sizes tell where they are not 0
        return _changed(node, view) if same and amounts is None and axes is not None else None
    pairs = zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True)
    return tuple(sorted(axis % rank for axis, *both in pairs if any(both))), ()


def _sliced(node: "NodeProto", view: View) -> Axes | None:
    before, after = view.shapes[node.input[0]], view.shapes[node.output[0]]
    given = [*node.input[1:], "", "", ""]
    axes = list(range(len(before))) if not given[2] else view.integers(given[2])
    steps = [1] if not given[3] else view.integers(given[3])
    if axes is None:
        return None
    touched = tuple(sorted(axis % len(before) for axis in axes))
    if steps is None or set(steps) != {1}:
        return touched, ()
    return tuple(axis for axis in touched if before[axis] != after[axis]), ()


def _selected(node: "NodeProto", view: View) -> Axes | None:
    known = view.fixed.get(node.input[1])
    if known is None or known.tensor.ndim > 1:
        return None
    axis = attribute(node, "axis", 0) % len(view.shapes[node.input[0]])
    return (axis,), () if known.tensor.ndim else (axis,)


_RULES: Mapping[str, Callable[["NodeProto", View], Axes | None]] = {
    "AveragePool": _spatial,
    "Expand": _expanded,
    "Gather": _selected,
    "GlobalAveragePool": _spatial,
    "GlobalMaxPool": _spatial,
    "MaxPool": _spatial,
    "Pad": _padded,
    "ReduceMax": _reduced,
    "ReduceMean": _reduced,
    "ReduceMin": _reduced,
    "Resize": _resized,
    "Slice": _sliced,
}
