"""The search for groups: from a layer's outputs to every layer that reads them."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard

from coreprune.graph.groups import Consumer, Group, Linear, Merge, Passenger, title_of
from coreprune.graph.ir import (
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
from coreprune.graph.places import (
    BlockedError,
    Place,
    beside,
    merged,
    obstacle,
    reshaped,
    split,
)


class Search:
    """The graph seen from its values: who reads them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[str, list[Node]] = defaultdict(list)
        self.users: dict[str, list[Node]] = defaultdict(list)
        self.makers: dict[str, Node] = {}
        self.reads = [(node, inputs_of(node)) for node in graph.nodes]
        self.positions = {node: place for place, node in enumerate(graph.nodes)}
        for node, inputs in self.reads:
            for value in node.outputs if isinstance(node, Opaque) else (node.output,):
                self.makers[value] = node
            for value in dict.fromkeys(inputs):
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
            BlockedError: When they form none.
        """
        gates: tuple[Linear, ...] = ()
        while True:
            readers, missing = self._readers((producer, *gates))
            if missing is None:
                break
            gates = (*gates, missing)
        if not readers:
            raise BlockedError("nothing reads its output")
        consumers = tuple(consumer for consumer, _ in readers)
        neurons, *others = {neurons for _, neurons in readers}
        if others:
            raise BlockedError("its output is read both whole and in parts")
        for node in (producer, *gates):
            self._own(node)
        for consumer in consumers:
            self._own(consumer.affine, reader=True)
            for passenger in consumer.passengers:
                self._own(passenger)
        first, *rest = sorted((producer, *gates), key=self.positions.__getitem__)
        return Group(producer=first, consumers=consumers, neurons=neurons, gates=tuple(rest))

    def _start(self, producer: Linear) -> Place:
        """Where a layer's neurons begin.

        Raises:
            BlockedError: When it works in parts.
        """
        if isinstance(producer, Convolution) and producer.groups > 1:
            raise BlockedError(f"it works in {producer.groups} parts, which must stay equally wide")
        shape = self.graph.shapes[producer.output]
        axis = len(shape) - 1 if isinstance(producer, Affine) else 1
        return Place(
            value=producer.output,
            axis=axis,
            neurons=shape[axis],
            width=shape[axis],
            rows=parameters_of(producer),
        )

    def _own(self, node: Linear | Passenger, *, reader: bool = False) -> None:
        """Insist that nothing else uses the parameters that a cut would change.

        Raises:
            BlockedError: When something does.
        """
        names = [node.weight] if reader and isinstance(node, Linear) else parameters_of(node)
        for name in names:
            if self.graph.parameters[name].numel() == 1:
                continue  # one entry for all neurons stays as it is
            for other in self.users[name]:
                if other is not node:
                    raise BlockedError(_sharing(name, node, other))

    def _readers(
        self, producers: Sequence[Linear]
    ) -> tuple[list[tuple[Consumer, int]], Linear | None]:
        """Every layer that reads the producers' neurons and how many, and a gate that is missing.

        Raises:
            BlockedError: When there is an obstacle on the way.
        """
        places = {node.output: self._start(node) for node in producers}
        readers: list[tuple[Consumer, int]] = []
        first = min(map(self.positions.__getitem__, producers))
        for node, inputs in itertools.islice(self.reads, first + 1, None):
            if places.keys().isdisjoint(inputs):
                continue
            known = [places[value] for value in inputs if value in places]
            if isinstance(node, Linear) and not self.is_depthwise(node):
                readers.append((self._consumer(node, known[0]), known[0].neurons))
            elif isinstance(node, Concat) or (
                isinstance(node, Merge) and len(known) == len(node.inputs)
            ):
                places[node.output] = self._joined(node, known)
            elif isinstance(node, Multiply) and (gate := self._gate(node, places)) is not None:
                return readers, gate
            elif isinstance(node, Merge | Opaque):
                raise BlockedError(obstacle(node))
            else:
                places[node.output] = self._behind(node, known[0])
        self._check_inside(places)
        return readers, None

    def _check_inside(self, places: Collection[str]) -> None:
        """Insist that every reader of the values is a node.

        Raises:
            BlockedError: When code reads them that is not in the graph, or the caller does.
        """
        if any(value in self.graph.handed_on for value in places):
            raise BlockedError("its output is read by code that could not be exported")
        if any(value in self.graph.outputs for value in places):
            raise BlockedError("its output leaves the network")

    def _gate(self, node: Multiply, places: Mapping[str, Place]) -> Linear | None:
        """The layer whose outputs the neurons are multiplied by, one each."""
        neurons = next(places[value].neurons for value in node.inputs if value in places)
        for value in node.inputs:
            if value not in places:
                source, parts = self._source(value)
                if isinstance(source, Linear) and source.output in self.graph.shapes:
                    shape = self.graph.shapes[source.output]
                    axis = len(shape) - 1 if isinstance(source, Affine) else 1
                    return source if shape[axis] in {neurons, neurons * parts} else None
        return None

    def _source(self, value: str) -> tuple[Node | None, int]:
        """Where a value comes from, through what acts on each neuron alone; of how many parts."""
        node, parts = self.makers.get(value), 1
        while isinstance(node, Norm | Elementwise | Pool | Reshape) or (
            node is not None and self.is_depthwise(node)
        ):
            if isinstance(node, Pool) and node.part is not None:
                parts *= node.part[1]
            node = self.makers.get(node.input)
        return node, parts

    def _consumer(self, node: Linear, place: Place) -> Consumer:
        """A layer as the reader of the neurons at a place.

        Raises:
            BlockedError: When it reads another axis, in parts, or one part of several.
        """
        taps = place.inner
        if isinstance(node, Convolution):
            if node.groups > 1:
                raise BlockedError(
                    f"{node.name} reads it in {node.groups} parts, which must stay equally wide"
                )
            taps = node.taps
        if not self._reads(node, place):
            raise BlockedError(f"{node.name} reads another axis than that of its neurons")
        if place.parts > 1 and not any(isinstance(one, Merge) for one in place.passed):
            raise BlockedError("its output is split into parts that are not multiplied together")
        constant, sign = self._constant(node)
        return Consumer(
            affine=node,
            passengers=place.passed,
            taps=taps,
            constant=constant,
            sign=sign,
            slices=(*place.slices, *place.slices_of(node.weight, axis=1)),
        )

    def _reads(self, node: Linear, place: Place) -> bool:
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
        self, node: Norm | Elementwise | Convolution | Pool | Permute | Reshape, place: Place
    ) -> Place:
        """Where the neurons are in a node's output.

        Raises:
            BlockedError: When the node acts on another axis.
        """
        rides = () if isinstance(node, Permute | Reshape) else (node,)
        moved = replace(place, value=node.output, passed=(*place.passed, *rides))
        match node:
            case Permute():
                return replace(moved, axis=node.order.index(place.axis))
            case Reshape():
                return reshaped(node, moved, self.graph.shapes)
            case Pool():
                if place.axis in node.axes:
                    return split(node, place)
                return replace(moved, axis=place.axis - sum(a < place.axis for a in node.gone))
            case _:
                each = self._of_channels(node)
                if (place.axis, place.inner) != (1, 1) and each:
                    raise BlockedError(f"{node.name} acts on another axis than that of its neurons")
                slices = (*place.slices, *place.slices_of(*each, axis=0))
                return replace(moved, slices=slices, rows=(*place.rows, *each))

    def _of_channels(self, node: Passenger) -> list[str]:
        """The parameters of a passenger with more than one entry for all neurons."""
        return [name for name in parameters_of(node) if self.graph.parameters[name].numel() > 1]

    def _joined(self, node: Merge | Concat, places: Sequence[Place]) -> Place:
        if isinstance(node, Concat):
            return beside(node, places, self.graph.shapes)
        return merged(node, places)


def _sharing(parameter: str, node: Node, other: Node) -> str:
    if isinstance(other, Opaque):
        return f"{parameter} is also read by {other.operator}"
    if title_of(node) == title_of(other):
        return f"{title_of(node)} is called more than once"
    return f"{parameter} is shared by {title_of(node)} and {title_of(other)}"
