"""Every layer of a graph: one whose neurons can be cut, a passenger, or left whole and why.

Found once, on the neutral graph, for every model kind.
"""

from collections.abc import Collection, Iterator

from coreprune.errors import ArgumentError
from coreprune.graph.groups import (
    RIDES_WITH_NONE,
    Group,
    Linear,
    Partition,
    Whole,
    passengers_of,
    title_of,
)
from coreprune.graph.ir import Elementwise, Graph, Norm, Opaque, parameters_of
from coreprune.graph.places import BlockedError
from coreprune.graph.search import Search


def find_groups(graph: Graph, *, skip: Collection[str] = ()) -> Partition:
    """Find every layer whose neurons can be cut soundly, and a reason for every other one.

    Args:
        graph: The lowered model.
        skip: Names of layers whose neurons all stay, or of modules that hold such; their inputs
            may still be cut.

    Returns:
        The groups in order of execution, and the layers left whole.

    Raises:
        ArgumentError: When `skip` names what is no layer.
    """
    search = Search(graph)
    names = tuple(dict.fromkeys(title_of(node) for node in graph.nodes if parameters_of(node)))
    skipped = _named(skip, names)
    groups: list[Group] = []
    whole: list[Whole] = []
    for node in graph.nodes:
        if search.is_depthwise(node) or node in {gate for one in groups for gate in one.gates}:
            continue  # it rides, or follows a layer that is left whole
        if isinstance(node, Linear):
            found = _found(search, node, skipped)
            (groups if isinstance(found, Group) else whole).append(found)  # type: ignore[arg-type]
        elif isinstance(node, Opaque) and node.parameters:
            whole.append(Whole(name=node.name, reason=f"{node.operator} is not cut"))
    whole.extend(_followers(search, groups))
    unique = {entry.name: entry for entry in reversed(whole)}
    return Partition(groups=tuple(groups), whole=tuple(reversed(unique.values())), names=names)


def _found(search: Search, node: Linear, skipped: Collection[str]) -> Group | Whole:
    """A layer's group, or why it stays whole."""
    if node.name in skipped:
        return Whole(name=node.name, reason="named in skip")
    try:
        group = search.group(node)
    except BlockedError as blocked:
        return Whole(name=node.name, reason=str(blocked))
    members = (group.producer.name, *(gate.name for gate in group.gates))
    if staying := [name for name in members if name in skipped]:
        reason = f"it is multiplied by {', '.join(staying)}, which skip names"
        return Whole(name=node.name, reason=reason)
    return group


def _named(skip: Collection[str], names: Collection[str]) -> frozenset[str]:
    """The layers that `skip` names, by themselves or by a module that they are in.

    Raises:
        ArgumentError: When it is one text, or names what is no layer.
    """
    if isinstance(skip, str):
        raise ArgumentError(f"skip must be a collection of names, got {skip!r}; pass [{skip!r}]")
    found = {entry: {n for n in names if f"{n}.".startswith(f"{entry}.")} for entry in skip}
    if unknown := sorted(str(entry) for entry, layers in found.items() if not layers):
        raise ArgumentError(
            f"skip names {', '.join(unknown)}, which no layer is called; "
            f"the layers are {', '.join(names)}"
        )
    return frozenset().union(*found.values())


def _followers(search: Search, groups: Collection[Group]) -> Iterator[Whole]:
    """Layers with a parameter a neuron that ride with no group."""
    riding = {name for group in groups for name in passengers_of(group)}
    for node in search.graph.nodes:
        follows = isinstance(node, Norm | Elementwise) or search.is_depthwise(node)
        if follows and parameters_of(node) and title_of(node) not in riding:
            yield Whole(name=title_of(node), reason=RIDES_WITH_NONE)
