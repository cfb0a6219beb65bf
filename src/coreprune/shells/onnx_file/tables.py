"""The tables in which a file looks up its inputs: as many tokens as they have rows."""

from coreprune.shells.onnx_file.nodes import attribute, operator_of
from coreprune.shells.onnx_file.view import View

_SAME = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that leave whole numbers what they are."""


def tables_of(view: View) -> dict[str, int]:
    """The values that a table is asked for, by what they are before their layout changes.

    Args:
        view: The file.

    Returns:
        The fewest rows of such a table by the value's name.
    """
    found: dict[str, int] = {}
    for node in view.nodes:
        if operator_of(node) != "Gather" or attribute(node, "axis", 0) != 0:
            continue
        table = view.fixed.get(node.input[0])
        if table is None or table.tensor.ndim < 2:
            continue
        root = _root(node.input[1], view)
        found[root] = min(found.get(root, len(table.tensor)), len(table.tensor))
    return found


def _root(value: str, view: View) -> str:
    while (maker := view.makers.get(value)) is not None and operator_of(maker) in _SAME:
        value = maker.input[0]
    return value
