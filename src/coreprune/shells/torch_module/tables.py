"""The embeddings in which a module looks up its inputs: as many tokens as they have rows."""

from collections.abc import Sequence

from torch import Tensor, fx
from torch.export import ExportedProgram

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.export import Part
from coreprune.shells.torch_module.operators import name_of

_SAME = frozenset({
    "_to_copy", "alias", "clone", "expand", "permute", "reshape", "squeeze", "to", "transpose",
    "unsqueeze", "view",
})  # fmt: skip
"""Operators that leave whole numbers what they are."""


def tables_of(parts: Sequence[Part], call: Call) -> dict[int, int]:
    """The inputs that an embedding is asked for.

    Args:
        parts: The model as it was exported.
        call: The example inputs.

    Returns:
        The fewest rows of such an embedding by the input's position among the leaves of the call;
        nothing for a model that was not exported whole.
    """
    whole = next((part.program for part in parts if not part.prefix), None)
    if whole is None:
        return {}
    places = _places(whole, call)
    found: dict[int, int] = {}
    for node in whole.graph.nodes:
        if node.op == "call_function" and name_of(node) == "embedding":
            table, ids = node.args[:2]
            place, rows = places.get(_root(ids)), len(table.meta["val"])
            if place is not None:
                found[place] = min(found.get(place, rows), rows)
    return found


def _root(node: fx.Node) -> str:
    while node.op == "call_function" and name_of(node) in _SAME:
        node = node.args[0]  # type: ignore[assignment]
    return node.name


def _places(program: ExportedProgram, call: Call) -> dict[str, int]:
    """The positions of placeholders among the leaves of the call; none where they do not agree."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    leaves = call.leaves()
    tensors = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    given = [name for name in names if isinstance(nodes[name].meta.get("val"), Tensor)]
    if len(given) != len(tensors):
        return {}
    return dict(reversed(list(zip(given, tensors, strict=True))))  # the first of a tensor's places
