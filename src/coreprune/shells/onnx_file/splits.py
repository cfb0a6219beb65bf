"""Splits of a file into parts of equal size."""

from typing import TYPE_CHECKING

from coreprune.graph.ir import Pool
from coreprune.shells.onnx_file.nodes import attribute, operator_of
from coreprune.shells.onnx_file.view import View

if TYPE_CHECKING:
    from onnx import NodeProto


def equal_parts(node: "NodeProto", view: View) -> dict[str, Pool] | None:
    """The parts that a node splits a value into, by their names; None where they are not equal."""
    if operator_of(node) != "Split" or not view.is_value(node.input[0]):
        return None
    if not all(name in view.shapes for name in node.output):
        return None
    before, sizes = view.shapes[node.input[0]], {view.shapes[name] for name in node.output}
    axis, count = attribute(node, "axis", 0) % len(before), len(node.output)
    if len(sizes) > 1 or count < 2 or before[axis] != count * next(iter(sizes))[axis]:
        return None
    if len(node.input) > 1 and view.integers(node.input[1]) is None:
        return None  # sizes that are computed
    return {
        name: Pool(
            input=node.input[0],
            output=name,
            operator="a split",
            axes=(axis,),
            part=(place, count),
        )
        for place, name in enumerate(node.output)
    }
