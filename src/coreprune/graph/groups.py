"""Which neurons must go together: a producer, its passengers and its consumers.

A group is an `Affine` whose output neurons reach only other `Affine`s, through operations that act
on each neuron alone. Found once, on the neutral graph, for every model kind.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from coreprune.errors import ArgumentError
from coreprune.graph.ir import (
    Add,
    Affine,
    Concat,
    Elementwise,
    Graph,
    Multiply,
    Node,
    Norm,
    Opaque,
    Permute,
    Reshape,
    inputs_of,
    parameters_of,
)

Passenger = Norm | Elementwise

RIDES_WITH_NONE = "its neurons belong to a layer that is left whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One reader of a group's neurons.

    Attributes:
        affine: The layer that reads them.
        passengers: What acts on them on the way to it, in its order.
        free_bias: Whether it has a bias that is its own, so that a cut may shift it.
    """

    affine: Affine
    passengers: tuple[Passenger, ...]
    free_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Neurons that can be cut: rows of the producer, columns of every consumer.

    Attributes:
        producer: The layer whose outputs the neurons are.
        consumers: The layers that read them.
        neurons: n.
    """

    producer: Affine
    consumers: tuple[Consumer, ...]
    neurons: int

    @property
    def name(self) -> str:
        """The producer's name."""
        return self.producer.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A layer that keeps all its neurons, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Every layer of a graph: a group's producer, a passenger, or left whole.

    Attributes:
        groups: In order of execution.
        whole: The layers that keep their neurons.
        names: All layers in order of execution.
    """

    groups: tuple[Group, ...]
    whole: tuple[Whole, ...]
    names: tuple[str, ...]


class _Blocked(Exception):  # noqa: N818 (never leaves this file)
    """The neurons of a layer reach something that they cannot pass."""


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
    search = _Search(graph)
    names = tuple(dict.fromkeys(_title(node) for node in graph.nodes if parameters_of(node)))
    skipped = _named(skip, names)
    groups: list[Group] = []
    whole: list[Whole] = []
    for node in graph.nodes:
        if isinstance(node, Affine) and node.name in skipped:
            whole.append(Whole(name=node.name, reason="named in skip"))
        elif isinstance(node, Affine):
            try:
                groups.append(search.group(node))
            except _Blocked as blocked:
                whole.append(Whole(name=node.name, reason=str(blocked)))
        elif isinstance(node, Opaque) and node.parameters:
            whole.append(Whole(name=node.name, reason=f"{node.operator} is not cut"))
    whole.extend(_followers(graph, groups))
    unique = {entry.name: entry for entry in reversed(whole)}
    return Partition(groups=tuple(groups), whole=tuple(reversed(unique.values())), names=names)


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


def _followers(graph: Graph, groups: Collection[Group]) -> Iterator[Whole]:
    """Layers with a parameter a neuron that ride with no group."""
    riding = {name for group in groups for name in passengers_of(group)}
    for node in graph.nodes:
        if isinstance(node, Norm | Elementwise) and parameters_of(node) and node.name not in riding:
            yield Whole(name=node.name, reason=RIDES_WITH_NONE)


def passengers_of(group: Group) -> tuple[str, ...]:
    """The names of the layers with parameters that ride with a group, in order."""
    return tuple(
        dict.fromkeys(
            passenger.name
            for consumer in group.consumers
            for passenger in consumer.passengers
            if parameters_of(passenger)
        )
    )


class _Search:
    """The graph seen from its values: who reads them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[str, list[Node]] = defaultdict(list)
        self.users: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for value in dict.fromkeys(inputs_of(node)):
                self.readers[value].append(node)
            for parameter in parameters_of(node):
                self.users[parameter].append(node)

    def group(self, producer: Affine) -> Group:
        """The group that a layer's neurons form.

        Raises:
            _Blocked: When they form none.
        """
        shape = self.graph.shapes[producer.output]
        self._own(producer)
        consumers = tuple(self._consumers(producer.output, len(shape) - 1, ()))
        if not consumers:
            raise _Blocked("nothing reads its output")
        for consumer in consumers:
            self._own(consumer.affine, reader=True)
            for passenger in consumer.passengers:
                self._own(passenger)
        return Group(producer=producer, consumers=consumers, neurons=shape[-1])

    def _own(self, node: Affine | Passenger, *, reader: bool = False) -> None:
        """Insist that nothing else uses the parameters that a cut would change.

        Raises:
            _Blocked: When something does.
        """
        names = [node.weight] if reader and isinstance(node, Affine) else parameters_of(node)
        for name in names:
            if self.graph.parameters[name].numel() == 1:
                continue  # one entry for all neurons stays as it is
            for other in self.users[name]:
                if other is not node:
                    raise _Blocked(_sharing(name, node, other))

    def _consumers(
        self, value: str, axis: int, passed: tuple[Passenger, ...]
    ) -> Iterator[Consumer]:
        """Every layer that reads the neurons on a value's axis, or an obstacle on the way.

        Raises:
            _Blocked: When there is an obstacle.
        """
        if value in self.graph.outputs:
            raise _Blocked("its output leaves the network")
        for node in self.readers[value]:
            if isinstance(node, Affine):
                if axis != len(self.graph.shapes[value]) - 1:
                    raise _Blocked(f"{node.name} reads another axis than that of its neurons")
                own = node.bias is not None and self.users[node.bias] == [node]
                yield Consumer(affine=node, passengers=passed, free_bias=own)
            elif isinstance(node, Add | Multiply | Concat | Opaque):
                raise _Blocked(_obstacle(node))
            else:
                rides = (node,) if isinstance(node, Norm | Elementwise) else ()
                after = self._axis_after(node, axis)
                yield from self._consumers(node.output, after, (*passed, *rides))

    def _axis_after(self, node: Passenger | Permute | Reshape, axis: int) -> int:
        """Where the neuron axis is in a node's output.

        Raises:
            _Blocked: When the node acts on another axis.
        """
        match node:
            case Permute():
                return node.order.index(axis)
            case Reshape():
                return self._reshaped(node, axis)
            case Norm() | Elementwise():
                if axis != 1 and self._has_channels(node):
                    raise _Blocked(f"{node.name} acts on another axis than that of its neurons")
                return axis

    def _has_channels(self, node: Passenger) -> bool:
        sizes = [self.graph.parameters[name].numel() for name in parameters_of(node)]
        return any(size > 1 for size in sizes)

    def _reshaped(self, node: Reshape, axis: int) -> int:
        """Where the neuron axis is after a reshape that keeps it.

        Raises:
            _Blocked: When the reshape does not keep it.
        """
        before, after = self.graph.shapes[node.input], self.graph.shapes[node.output]
        lead = math.prod(before[:axis])
        for position, size in enumerate(after):
            if size == before[axis] and math.prod(after[:position]) == lead:
                return position
        raise _Blocked("its output is reshaped so that neurons are mixed with other axes")


def _title(node: Node) -> str:
    return node.name if isinstance(node, Affine | Norm | Elementwise | Opaque) else "an operation"


def _sharing(parameter: str, node: Node, other: Node) -> str:
    if isinstance(other, Opaque):
        return f"{parameter} is also read by {other.operator}"
    if _title(node) == _title(other):
        return f"{_title(node)} is called more than once"
    return f"{parameter} is shared by {_title(node)} and {_title(other)}"


def _obstacle(node: Multiply | Add | Concat | Opaque) -> str:
    match node:
        case Add():
            return "its output is added to another value (a residual sum)"
        case Multiply():
            return "its output is multiplied by another value"
        case Concat():
            return "its output is concatenated with another value"
        case Opaque():
            return (
                f"its output goes through {node.operator}, "
                "which is not a known element-wise function"
            )
