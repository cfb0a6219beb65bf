"""Which neurons must go together: a producer, its passengers and its consumers.

A group is a layer whose output neurons, or channels, reach only other layers, through operations
that act on each neuron alone. Found once, on the neutral graph, for every model kind.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from coreprune.errors import ArgumentError
from coreprune.graph.ir import (
    Add,
    Affine,
    Concat,
    Convolution,
    Elementwise,
    Graph,
    Multiply,
    Node,
    Norm,
    Opaque,
    Permute,
    Pool,
    Reshape,
    inputs_of,
    parameters_of,
)
from coreprune.graph.slices import Slice

Linear = Affine | Convolution
"""A layer that reads neurons linearly: a sum over neurons and, for each, over taps."""

Merge = Add | Multiply
Passenger = Norm | Elementwise | Pool | Convolution | Merge
"""What acts on each neuron alone: a convolution is depthwise, a merge of a neuron with itself."""

RIDES_WITH_NONE = "its neurons belong to a layer that is left whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One reader of a group's neurons.

    Attributes:
        affine: The layer that reads them.
        passengers: What acts on them on the way to it, in its order.
        taps: How many columns of its weight each neuron has: the positions in a patch, or those
            that were flattened behind each channel.
        constant: The parameter that takes a constant which a cut adds to what the layer gives: its
            own bias, or the mean of a normalisation behind it; None where there is none.
        sign: What the constant is multiplied by there.
        slices: The neurons' parts of the passengers' tensors and of the layer's weight, where a
            concatenation put them beside others; nothing where tensors are the neurons' alone.
    """

    affine: Linear
    passengers: tuple[Passenger, ...]
    taps: int = 1
    constant: str | None = None
    sign: int = 1
    slices: tuple[Slice, ...] = ()

    @property
    def free_bias(self) -> bool:
        """Whether a constant has somewhere to go."""
        return self.constant is not None

    @property
    def is_pointwise(self) -> bool:
        """Whether all that happens on the way is a function of each entry."""
        return all(isinstance(passenger, Norm | Elementwise) for passenger in self.passengers)

    @property
    def is_homogeneous(self) -> bool:
        """Whether all positions are treated alike, and sums of neurons as sums."""
        pools = [one for one in self.passengers if isinstance(one, Pool)]
        apart = any(isinstance(one, Convolution | Merge) for one in self.passengers)
        return not apart and all(pool.is_linear for pool in pools)

    @property
    def is_plain(self) -> bool:
        """Whether it reads one number a neuron, and that function of it."""
        return isinstance(self.affine, Affine) and self.taps == 1 and self.is_pointwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Neurons that can be cut: rows of the producers, columns of every consumer.

    Attributes:
        producer: The layer whose outputs the neurons are.
        consumers: The layers that read them.
        neurons: n.
        gates: Layers whose outputs, one a neuron, the neurons are multiplied by.
    """

    producer: Linear
    consumers: tuple[Consumer, ...]
    neurons: int
    gates: tuple[Linear, ...] = ()

    @property
    def name(self) -> str:
        """The producer's name."""
        return self.producer.name

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Its parts of the tensors that it shares with others."""
        return tuple(dict.fromkeys(one for consumer in self.consumers for one in consumer.slices))

    @property
    def is_alone(self) -> bool:
        """Whether its readers read no other neurons beside its own."""
        return not self.slices

    @property
    def is_plain(self) -> bool:
        """Whether it is a hidden layer of neurons: Σ_j w_ij φ_j(p_j·x + b_j)."""
        plain = all(consumer.is_plain for consumer in self.consumers)
        return isinstance(self.producer, Affine) and plain and not self.gates


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
        if search.is_depthwise(node) or node in {gate for one in groups for gate in one.gates}:
            continue  # it rides, or follows a layer that is left whole
        if isinstance(node, Linear) and node.name in skipped:
            whole.append(Whole(name=node.name, reason="named in skip"))
        elif isinstance(node, Linear):
            try:
                groups.append(search.group(node))
            except _Blocked as blocked:
                whole.append(Whole(name=node.name, reason=str(blocked)))
        elif isinstance(node, Opaque) and node.parameters:
            whole.append(Whole(name=node.name, reason=f"{node.operator} is not cut"))
    whole.extend(_followers(search, groups))
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


def _followers(search: "_Search", groups: Collection[Group]) -> Iterator[Whole]:
    """Layers with a parameter a neuron that ride with no group."""
    riding = {name for group in groups for name in passengers_of(group)}
    for node in search.graph.nodes:
        follows = isinstance(node, Norm | Elementwise) or search.is_depthwise(node)
        if follows and parameters_of(node) and _title(node) not in riding:
            yield Whole(name=_title(node), reason=RIDES_WITH_NONE)


def passengers_of(group: Group) -> tuple[str, ...]:
    """The names of the layers with parameters that ride with a group, in order."""
    riding = [passenger for consumer in group.consumers for passenger in consumer.passengers]
    return tuple(
        dict.fromkeys(_title(node) for node in (*group.gates, *riding) if parameters_of(node))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a group's neurons are in a value.

    Attributes:
        value: The value.
        axis: Its axis that holds them.
        neurons: n.
        start: The first entry of the axis that belongs to them.
        inner: How many neighbouring entries of the axis belong to each.
        width: How many entries the axis has.
        passed: What acted on them on the way.
        slices: Their parts of the tensors of what acted on others as well.
    """

    value: str
    axis: int
    neurons: int
    start: int = 0
    inner: int = 1
    width: int
    passed: tuple[Passenger, ...] = ()
    slices: tuple[Slice, ...] = ()

    @property
    def spot(self) -> tuple[int, ...]:
        """Where they are, whatever the value and the way to it."""
        return self.axis, self.start, self.inner, self.width

    def slices_of(self, *parameters: str, axis: int) -> tuple[Slice, ...]:
        """The neurons' parts of an axis of these parameters; nothing where all of it is theirs."""
        stop = self.start + self.neurons * self.inner
        if stop - self.start == self.width:
            return ()
        return tuple(
            Slice(parameter=name, axis=axis, start=self.start, stop=stop, size=self.width)
            for name in parameters
        )


class _Search:
    """The graph seen from its values: who reads them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[str, list[Node]] = defaultdict(list)
        self.users: dict[str, list[Node]] = defaultdict(list)
        self.makers: dict[str, Node] = {}
        for node in graph.nodes:
            for value in node.outputs if isinstance(node, Opaque) else (node.output,):
                self.makers[value] = node
            for value in dict.fromkeys(inputs_of(node)):
                self.readers[value].append(node)
            for parameter in parameters_of(node):
                self.users[parameter].append(node)

    def is_depthwise(self, node: Node) -> TypeGuard[Convolution]:
        """Whether a node is a convolution of each channel with one kernel of its own."""
        if not isinstance(node, Convolution):
            return False
        channels = self.graph.shapes[node.input][1]
        return node.groups > 1 and node.groups == channels == self.graph.shapes[node.output][1]

    def group(self, producer: Linear) -> Group:
        """The group that a layer's neurons form, with the layers that gate them.

        Raises:
            _Blocked: When they form none.
        """
        gates: tuple[Linear, ...] = ()
        while True:
            consumers, missing = self._consumers((producer, *gates))
            if missing is None:
                break
            gates = (*gates, missing)
        if not consumers:
            raise _Blocked("nothing reads its output")
        for node in (producer, *gates):
            self._own(node)
        for consumer in consumers:
            self._own(consumer.affine, reader=True)
            for passenger in consumer.passengers:
                self._own(passenger)
        first, *others = sorted((producer, *gates), key=self.graph.nodes.index)
        neurons = self._start(first).neurons
        return Group(
            producer=first, consumers=tuple(consumers), neurons=neurons, gates=tuple(others)
        )

    def _start(self, producer: Linear) -> _Place:
        """Where a layer's neurons begin.

        Raises:
            _Blocked: When it works in parts.
        """
        if isinstance(producer, Convolution) and producer.groups > 1:
            raise _Blocked(f"it works in {producer.groups} parts, which must stay equally wide")
        shape = self.graph.shapes[producer.output]
        axis = len(shape) - 1 if isinstance(producer, Affine) else 1
        return _Place(value=producer.output, axis=axis, neurons=shape[axis], width=shape[axis])

    def _own(self, node: Linear | Passenger, *, reader: bool = False) -> None:
        """Insist that nothing else uses the parameters that a cut would change.

        Raises:
            _Blocked: When something does.
        """
        names = [node.weight] if reader and isinstance(node, Linear) else parameters_of(node)
        for name in names:
            if self.graph.parameters[name].numel() == 1:
                continue  # one entry for all neurons stays as it is
            for other in self.users[name]:
                if other is not node:
                    raise _Blocked(_sharing(name, node, other))

    def _consumers(self, producers: Sequence[Linear]) -> tuple[list[Consumer], Linear | None]:
        """Every layer that reads the producers' neurons, and a gate of them that is missing.

        Raises:
            _Blocked: When there is an obstacle on the way.
        """
        places = {node.output: self._start(node) for node in producers}
        consumers: list[Consumer] = []
        for node in self.graph.nodes:
            known = [places[value] for value in inputs_of(node) if value in places]
            if not known:
                continue
            if isinstance(node, Linear) and not self.is_depthwise(node):
                consumers.append(self._consumer(node, known[0]))
            elif isinstance(node, Concat) or (
                isinstance(node, Merge) and len(known) == len(node.inputs)
            ):
                places[node.output] = self._joined(node, known)
            elif isinstance(node, Multiply) and (gate := self._gate(node, places)) is not None:
                return consumers, gate
            elif isinstance(node, Merge | Opaque):
                raise _Blocked(_obstacle(node))
            else:
                places[node.output] = self._behind(node, known[0])
        if any(value in self.graph.outputs for value in places):
            raise _Blocked("its output leaves the network")
        return consumers, None

    def _gate(self, node: Multiply, places: Mapping[str, _Place]) -> Linear | None:
        """The layer whose outputs the neurons are multiplied by, one each."""
        neurons = next(places[value].neurons for value in node.inputs if value in places)
        for value in node.inputs:
            if value not in places:
                source = self._source(value)
                if isinstance(source, Linear) and source.output in self.graph.shapes:
                    shape = self.graph.shapes[source.output]
                    axis = len(shape) - 1 if isinstance(source, Affine) else 1
                    return source if shape[axis] == neurons else None
        return None

    def _source(self, value: str) -> Node | None:
        """Where a value comes from, through what acts on each neuron alone."""
        node = self.makers.get(value)
        while isinstance(node, Norm | Elementwise | Pool | Reshape) or (
            node is not None and self.is_depthwise(node)
        ):
            node = self.makers.get(node.input)
        return node

    def _consumer(self, node: Linear, place: _Place) -> Consumer:
        """A layer as the reader of the neurons at a place.

        Raises:
            _Blocked: When it reads another axis, or in parts.
        """
        taps = place.inner
        if isinstance(node, Convolution):
            if node.groups > 1:
                raise _Blocked(
                    f"{node.name} reads it in {node.groups} parts, which must stay equally wide"
                )
            taps = node.taps
        if not self._reads(node, place):
            raise _Blocked(f"{node.name} reads another axis than that of its neurons")
        constant, sign = self._constant(node)
        return Consumer(
            affine=node,
            passengers=place.passed,
            taps=taps,
            constant=constant,
            sign=sign,
            slices=(*place.slices, *place.slices_of(node.weight, axis=1)),
        )

    def _reads(self, node: Linear, place: _Place) -> bool:
        """Whether the neurons are on the axis that a layer sums over."""
        if isinstance(node, Convolution):
            return place.axis == 1 and place.inner == 1
        return place.axis == len(self.graph.shapes[place.value]) - 1

    def _constant(self, node: Linear) -> tuple[str | None, int]:
        """Where a constant goes that is added to what a layer gives, and with which sign."""
        if node.bias is not None and self.users[node.bias] == [node]:
            return node.bias, 1
        readers = self.readers[node.output]
        on_axis_1 = isinstance(node, Convolution) or len(self.graph.shapes[node.output]) == 2
        if len(readers) == 1 and on_axis_1 and node.output not in self.graph.outputs:
            norm = readers[0]
            if isinstance(norm, Norm) and self.users[norm.mean] == [norm]:
                return norm.mean, -1
        return None, 1

    def _behind(
        self, node: Norm | Elementwise | Convolution | Pool | Permute | Reshape, place: _Place
    ) -> _Place:
        """Where the neurons are in a node's output.

        Raises:
            _Blocked: When the node acts on another axis.
        """
        rides = () if isinstance(node, Permute | Reshape) else (node,)
        moved = replace(place, value=node.output, passed=(*place.passed, *rides))
        match node:
            case Permute():
                return replace(moved, axis=node.order.index(place.axis))
            case Reshape():
                return self._reshaped(node, moved)
            case Pool():
                if place.axis in node.axes:
                    raise _Blocked(f"{node.operator} acts on the axis of its neurons")
                return replace(moved, axis=place.axis - sum(a < place.axis for a in node.gone))
            case _:
                each = self._of_channels(node)
                if (place.axis, place.inner) != (1, 1) and each:
                    raise _Blocked(f"{node.name} acts on another axis than that of its neurons")
                return replace(moved, slices=(*place.slices, *place.slices_of(*each, axis=0)))

    def _of_channels(self, node: Passenger) -> list[str]:
        """The parameters of a passenger with more than one entry for all neurons."""
        return [name for name in parameters_of(node) if self.graph.parameters[name].numel() > 1]

    def _joined(self, node: Merge | Concat, places: Sequence[_Place]) -> _Place:
        return self._beside(node, places) if isinstance(node, Concat) else _merged(node, places)

    def _beside(self, node: Concat, places: Sequence[_Place]) -> _Place:
        """Where the neurons are when values were put side by side.

        Raises:
            _Blocked: When that is along another axis, or they are in several of the values.
        """
        first, *others = places
        if others:
            raise _Blocked("its output is concatenated with itself")
        if node.axis != first.axis:
            raise _Blocked(_obstacle(node))
        before = node.inputs[: node.inputs.index(first.value)]
        start = first.start + sum(self.graph.shapes[value][node.axis] for value in before)
        width = self.graph.shapes[node.output][node.axis]
        return replace(first, value=node.output, start=start, width=width)

    def _reshaped(self, node: Reshape, place: _Place) -> _Place:
        """Where the neurons are after a reshape.

        Raises:
            _Blocked: When it mixes them with what comes before.
        """
        before, after = self.graph.shapes[node.input], self.graph.shapes[node.output]
        lead = math.prod(before[: place.axis])
        for position, size in enumerate(after):
            # An entry e of the axis before becomes the entries from e · size / width on.
            edges = [place.start * size, place.inner * size]
            if math.prod(after[:position]) != lead or any(edge % place.width for edge in edges):
                continue
            if size > 1 or place.neurons == 1:
                start, inner = (edge // place.width for edge in edges)
                return replace(place, axis=position, start=start, inner=inner, width=size)
        raise _Blocked("its output is reshaped so that neurons are mixed with other axes")


def _merged(node: Merge, places: Sequence[_Place]) -> _Place:
    """Where the neurons are in a sum or product of themselves.

    Raises:
        _Blocked: When they are not on one axis in all values.
    """
    first = places[0]
    if any(one.spot != first.spot for one in places):
        raise _Blocked(_obstacle(node))
    passed = dict.fromkeys(passenger for place in places for passenger in place.passed)
    slices = dict.fromkeys(part for place in places for part in place.slices)
    return replace(first, value=node.output, passed=(*passed, node), slices=tuple(slices))


def _title(node: Node) -> str:
    named = Affine | Convolution | Norm | Elementwise | Opaque
    return node.name if isinstance(node, named) else "an operation"


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
            return "its output is concatenated along another axis than that of its neurons"
        case Opaque():
            return (
                f"its output goes through {node.operator}, "
                "which is not a known element-wise function"
            )
