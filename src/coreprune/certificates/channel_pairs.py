"""Certificates of groups of channels from two networks alone, each group for itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.certificates.asked import Asked
from coreprune.certificates.channels import (
    Difference,
    block_of,
    difference,
    jointly,
    tap_by_tap,
    tap_sums,
    way_of,
)
from coreprune.certificates.group_bound import NO_SUCH_GROUP, OTHER_SIZES, GroupBound, unproven
from coreprune.certificates.judged import says_nothing
from coreprune.certificates.of_cut import no_certificate
from coreprune.certificates.precision import named, unbounded
from coreprune.certificates.view import View, view
from coreprune.core.attack import Ascent, attack
from coreprune.core.query_set import ball
from coreprune.core.same_function import alike
from coreprune.core.tap_sums import restricted
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Convolution, Graph
from coreprune.graph.patches import joint_taps, patterns, taps_of
from coreprune.queries.ball import Ball
from coreprune.records import CertifiedGroup

ASCENT = Ascent(restarts=4, steps=40)

MIXED = "positions are mixed on the way, and the two networks do not tell that they are alike"
NO_BALL = "groups of channels are certified on balls alone"
APART = "not attacked: its taps are bounded one by one"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """A group in one of the networks and a layer that reads it."""

    graph: Graph
    group: Group
    consumer: Consumer

    def view(self, radius: float) -> View:
        """What the layer sees."""
        return view(
            self.group, self.consumer, self.graph.parameters, graph=self.graph, radius=radius
        )


def channel_pairs(
    graphs: tuple[Graph, Graph], groups: tuple[Sequence[Group], Sequence[Group]], asked: Asked
) -> Iterator[tuple[str, GroupBound]]:
    """Certify and attack what is no run of plain groups.

    Args:
        graphs: The original and the pruned network.
        groups: Of both.
        asked: What for: of a convolution the ball of the windows that its readers' taps see
            together, or of its patches.

    Yields:
        A group's name and what is proven of it, one a reader.
    """
    others = {group.name: group for group in groups[1]}
    for group in groups[0]:
        if group.is_plain:
            continue
        for consumer in group.consumers:
            name = f"{group.name} → {consumer.affine.name}"
            one = _Side(graph=graphs[0], group=group, consumer=consumer)
            found = _counterpart(one, others.get(group.name), graph=graphs[1], asked=asked)
            if isinstance(found, str):
                yield group.name, unproven(name, found)
            else:
                yield group.name, _bounded(name, one, found, asked=asked)


def _counterpart(one: _Side, other: Group | None, *, graph: Graph, asked: Asked) -> _Side | str:
    """The same group of the other network, or why the two are not compared."""
    if other is None:
        return NO_SUCH_GROUP
    reader = one.consumer.affine.name
    consumer = next((each for each in other.consumers if each.affine.name == reader), None)
    if consumer is None:
        return NO_SUCH_GROUP
    two = _Side(graph=graph, group=other, consumer=consumer)
    for side in (one, two):
        if reason := no_certificate(side.group, side.graph.parameters):
            return reason
        if not side.consumer.is_pointwise:
            return MIXED
    if _around(one) != _around(two):
        return OTHER_SIZES
    return two if isinstance(asked.space, Ball) else NO_BALL


def _around(side: _Side) -> tuple[object, ...]:
    """All that must be alike for two groups to be compared."""
    producer, parameters = side.group.producer, side.graph.parameters
    moves: tuple[object, ...] = ()
    if isinstance(producer, Convolution):
        moves = producer.stride, producer.padding, producer.dilation
    return (
        moves,
        parameters[producer.weight].shape[1:],
        len(parameters[side.consumer.affine.weight]),
        side.consumer.constant,
        side.consumer.taps,
        taps_of(side.consumer, side.graph),
        joint_taps(side.group, side.consumer, side.graph),
    )


def _bounded(name: str, one: _Side, other: _Side, *, asked: Asked) -> GroupBound:
    radius = _radius(asked)
    views = one.view(radius), other.view(radius)
    found = _union(*views)
    together = way_of(one.group, one.consumer, one.graph.parameters, graph=one.graph)
    try:
        if together == "jointly":
            bounds = jointly(
                one.group,
                one.consumer,
                found,
                graph=one.graph,
                radius=radius,
                effort=asked.effort,
            )
        else:
            bounds = tap_by_tap(
                one.consumer, found, graph=one.graph, radius=radius, effort=asked.effort
            )
    except ArgumentError as reason:
        return unproven(name, str(reason))
    rounding = views[0].rounding + views[1].rounding
    total = bounds + rounding
    if not total.isfinite().all():
        return unproven(
            name, unbounded(named(*(each.precision for each in views))), rounding=torch.inf
        )
    reached, span = None, _span(views[0])
    if together == "jointly" or one.consumer.taps == 1:
        reached = _attacked(one, found, int(bounds.amax(1).argmax()), asked=asked)
    return GroupBound(
        record=CertifiedGroup(
            name=name,
            certificate=float(total.amax()),
            attack=reached,
            reason=APART if reached is None else "",
        ),
        vacuous=bool(
            says_nothing(total.amax(0), torch.full_like(span, reached or 0.0), span).any()
        ),
        rounding=float(rounding.amax()),
        types=(views[0].precision, views[1].precision),
    )


def _union(one: View, other: View) -> Difference:
    """Sums over the channels of both, those that are equal counted once."""
    rows, columns = _equal(one, other)
    left = torch.ones(len(other.layer.points), dtype=torch.bool)
    left[columns] = False
    same = replace(other, weights=other.weights[:, columns])
    found = difference(one, same, rows)
    if not left.any():
        return found
    rest = block_of(other, torch.where(left[:, None], -other.weights, 0.0))
    return replace(found, blocks=(*found.blocks, rest))


def _equal(one: View, other: View) -> tuple[Tensor, Tensor]:
    """Channels of the first network and of the other that are the same function, each once."""
    places = {key: row for row, key in reversed(list(enumerate(_keys(one))))}
    found: dict[int, int] = {}
    for column, key in enumerate(_keys(other)):
        if key in places:
            found.setdefault(places[key], column)
    rows, columns = torch.tensor([*found]).long(), torch.tensor([*found.values()]).long()
    flags = alike(
        one.layer.activation,
        other.layer.activation,
        widths=(len(one.layer.points), len(other.layer.points)),
        pairs=(rows, columns),
    )
    return rows[flags], columns[flags]


def _keys(one: View) -> list[bytes]:
    """What tells channels apart before their functions: points and biases."""
    rows = torch.cat([one.layer.points.double(), one.layer.bias.double()[:, None]], dim=1)
    return [row.numpy().tobytes() for row in rows.contiguous()]


def _span(one: View) -> Tensor:
    """How long an interval holds all that the layer gives. Shape (k,)."""
    lengths = (one.whole.high - one.whole.low)[:, None]
    return (one.whole_weights.abs() * lengths).sum((1, 2))


def _attacked(one: _Side, found: Difference, pattern: int, *, asked: Asked) -> float:
    """The largest change found by ascent, for one pattern of taps."""
    group, consumer, graph = one.group, one.consumer, one.graph
    chosen = patterns(joint_taps(group, consumer, graph) or taps_of(consumer, graph))[pattern]
    if not chosen.any():
        return float(found.offsets.abs().amax())
    taps = tap_sums(group, consumer, found, graph=graph)
    sums = restricted(taps, chosen, found.offsets)
    space = ball(_radius(asked), dimension=sums.blocks[0].points.shape[1])
    return float(attack(sums, space, ascent=ASCENT, generator=asked.generator()).values.amax())


def _radius(asked: Asked) -> float:
    return float(asked.space.radius) if isinstance(asked.space, Ball) else 0.0
