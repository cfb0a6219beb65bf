"""Nodes that only compute sizes for others: the shape of a value, and whole numbers from it."""

from coreprune.shells.onnx_file.nodes import operator_of, subgraphs_of
from coreprune.shells.onnx_file.view import View

TARGETS = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1, 3),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
}
"""Which inputs of an operator are sizes or places."""

_ON_SIZES = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Flatten", "Floor",
    "Gather", "Identity", "Max", "Min", "Mod", "Mul", "Neg", "Range", "ReduceProd", "Reshape",
    "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
})  # fmt: skip


def sizes_only(view: View) -> set[str]:
    """The values that are made of shapes and constants and tell nothing but sizes to others.

    What reads such a value adapts to a cut by itself; the operation that finds the shape is no
    obstacle to the neurons whose shape it is.
    """
    made: set[str] = set()
    for node in view.nodes:
        sources = [name for name in node.input if name]
        if operator_of(node) in {"Shape", "Size"} or (
            operator_of(node) in _ON_SIZES
            and any(name in made for name in sources)
            and all(name in made or name in view.fixed for name in sources)
        ):
            made |= set(node.output)
    silent: set[str] = set()
    for node in reversed(view.nodes):
        if node.output and all(
            name in made and _is_silent(name, view, silent) for name in node.output
        ):
            silent |= set(node.output)
    return silent


def _is_silent(name: str, view: View, silent: set[str]) -> bool:
    """Whether all that read a value take it for a size."""
    if name in view.leaving:
        return False
    for node in view.readers.get(name, ()):
        if next(subgraphs_of(node), None) is not None:
            return False
        own = TARGETS.get(operator_of(node), ())
        places = [place for place, source in enumerate(node.input) if source == name]
        if not all(place in own for place in places) and not set(node.output) <= silent:
            return False
    return True
