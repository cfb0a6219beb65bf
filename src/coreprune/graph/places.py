"""Where a group's neurons are in a value, and where operations take them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coreprune.graph.groups import Merge, Passenger
from coreprune.graph.ir import Add, Concat, Multiply, Opaque, Pool, Reshape
from coreprune.graph.slices import Slice

Shapes = Mapping[str, tuple[int, ...]]
"""Of every value."""


class BlockedError(Exception):
    """The neurons of a layer reach something that they cannot pass; never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
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
        rows: The tensors so far that have an entry for each of theirs on the axis.
        parts: Into how many parts they were split, of which this value has one: neuron j of n has
            the entries j, n + j, 2n + j and so on of those tensors.
    """

    value: str
    axis: int
    neurons: int
    start: int = 0
    inner: int = 1
    width: int
    passed: tuple[Passenger, ...] = ()
    slices: tuple[Slice, ...] = ()
    rows: tuple[str, ...] = ()
    parts: int = 1

    @property
    def spot(self) -> tuple[int, ...]:
        """Where they are, whatever the value and the way to it."""
        return self.axis, self.start, self.neurons, self.inner, self.width

    def slices_of(self, *parameters: str, axis: int) -> tuple[Slice, ...]:
        """The neurons' parts of an axis of these parameters; nothing where all of it is theirs."""
        stop = self.start + self.neurons * self.inner
        if stop - self.start == self.width:
            return ()
        return tuple(
            Slice(parameter=name, axis=axis, start=self.start, stop=stop, size=self.width)
            for name in parameters
        )


def beside(node: Concat, places: Sequence[Place], shapes: Shapes) -> Place:
    """Where the neurons are when values were put side by side.

    Raises:
        BlockedError: When that is along another axis, or they are in several of the values.
    """
    first, *others = places
    if others:
        raise BlockedError("its output is concatenated with itself")
    if node.axis != first.axis:
        raise BlockedError(obstacle(node))
    before = node.inputs[: node.inputs.index(first.value)]
    start = first.start + sum(shapes[value][node.axis] for value in before)
    width = shapes[node.output][node.axis]
    return replace(first, value=node.output, start=start, width=width)


def reshaped(node: Reshape, place: Place, shapes: Shapes) -> Place:
    """Where the neurons are after a reshape.

    Raises:
        BlockedError: When it mixes them with what comes before.
    """
    before, after = shapes[node.input], shapes[node.output]
    lead = math.prod(before[: place.axis])
    for position, size in enumerate(after):
        # An entry e of the axis before becomes the entries from e · size / width on.
        edges = [place.start * size, place.inner * size]
        if math.prod(after[:position]) != lead or any(edge % place.width for edge in edges):
            continue
        if size > 1 or place.neurons == 1:
            start, inner = (edge // place.width for edge in edges)
            return replace(place, axis=position, start=start, inner=inner, width=size)
    raise BlockedError("its output is reshaped so that neurons are mixed with other axes")


def split(node: Pool, place: Place) -> Place:
    """Where the neurons are in one of the equal parts that they are split into.

    Raises:
        BlockedError: When the node gives no such part, there is more on the axis than they, or they
            were split before.
    """
    if node.part is None:
        raise BlockedError(f"{node.operator} acts on the axis of its neurons")
    if place.neurons != place.width:
        raise BlockedError("what is split into parts holds more than one entry for each neuron")
    if place.parts > 1:
        raise BlockedError("its output is split into parts in more ways than one")
    _, count = node.part
    each = place.neurons // count
    bands = tuple(
        Slice(parameter=name, axis=0, start=start, stop=start + each, size=place.width)
        for name in place.rows
        for start in range(0, place.width, each)
    )
    return replace(
        place,
        value=node.output,
        neurons=each,
        width=each,
        slices=(*place.slices, *bands),
        rows=(),
        parts=count,
    )


def merged(node: Merge, places: Sequence[Place]) -> Place:
    """Where the neurons are in a sum or product of themselves.

    Raises:
        BlockedError: When they are not on one axis in all values.
    """
    first = places[0]
    if any(one.spot != first.spot for one in places):
        raise BlockedError(obstacle(node))
    passed = dict.fromkeys(passenger for place in places for passenger in place.passed)
    slices = dict.fromkeys(part for place in places for part in place.slices)
    return replace(
        first,
        value=node.output,
        passed=(*passed, node),
        slices=tuple(slices),
        rows=tuple(dict.fromkeys(name for place in places for name in place.rows)),
        parts=max(place.parts for place in places),
    )


def obstacle(node: Multiply | Add | Concat | Opaque) -> str:
    """Why neurons do not pass a node, in words."""
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
