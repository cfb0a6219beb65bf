"""Bounds of what a layer that reads channels gives in two networks, at every position.

A tap in the zeros around a map adds nothing, so the bound is the largest over every set of taps
that lie in the map for some position (`core.tap_sums`). Three arguments, the first that applies:

    jointly     the taps see parts of one window of the producer's input: sums over channels and
                taps of functions of that window
    tap by tap  each tap sees a patch of its own, or a mixture of such: one bound a tap, added up
    by ranges   each channel at each tap takes any value of its range
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from coreprune.certificates.view import View, without_pools
from coreprune.core.certificate import certificate
from coreprune.core.neuron_sums import Block, NeuronSums, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.rounding import ACTIVATION_UNITS, UNIT, gamma
from coreprune.core.tap_sums import joint_bounds, separate_bounds
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Convolution, Graph, Parameters
from coreprune.graph.patches import joint_extent, joint_taps, patterns, placed, taps_of

Way = Literal["jointly", "tap by tap", "by ranges"]

SMALL = 2**22
"""Patterns · k · rows · min(rows, dimensions) up to which bounds are refined sum by sum,
which then takes a second or two."""

MOST = 2**31
"""The same beyond which taps are not seen together: that takes seconds."""

LARGEST = 2**24
"""Numbers in the rows of all taps beyond which they are not: that takes memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Difference:
    """One layer's sums in one network less those in another.

    Attributes:
        blocks: The channels of either, with γ_ijt; of weights of shape (k, n T), taps side by side.
        tap_offsets: o_it. Shape (k, T).
        offsets: γ_i0. Shape (k,).
    """

    blocks: tuple[Block, ...]
    tap_offsets: Tensor
    offsets: Tensor


def difference(one: View, other: View, kept: Tensor) -> Difference:
    """Sums over the first network's channels, of which the other has some.

    Args:
        one: The first network.
        other: The other.
        kept: Which of the first's channels those of the other are. Shape (m,).

    Returns:
        The difference.
    """
    gamma_ = one.weights.clone()
    gamma_[:, kept] -= other.weights
    return Difference(
        blocks=(block_of(one, gamma_),),
        tap_offsets=one.tap_offsets - other.tap_offsets,
        offsets=one.constant - other.constant,
    )


def block_of(one: View, weights: Tensor) -> Block:
    """A network's channels with other weights, of shape (k, n, T)."""
    return Block(
        points=one.layer.points,
        bias=one.layer.bias,
        activation=one.layer.activation,
        weights=weights.flatten(1),
    )


def way_of(group: Group, consumer: Consumer, parameters: Parameters, *, graph: Graph) -> Way:
    """The argument for a layer that reads channels.

    Args:
        group: The channels.
        consumer: The layer.
        parameters: The tensors, which say whether taps together are too many.
        graph: Where all that is.

    Returns:
        The first argument that applies.
    """
    taps = joint_taps(group, consumer, graph)
    if taps is not None and isinstance(group.producer, Convolution):
        n, d = parameters[group.producer.weight].shape[:2]
        k = len(parameters[consumer.affine.weight])
        rows = n * consumer.taps
        wide = d * math.prod(joint_extent(group.producer, taps))
        cost = len(patterns(taps)) * k * rows * min(rows, wide)
        if cost <= MOST and rows * wide <= LARGEST:
            return "jointly"
    return "tap by tap" if without_pools(consumer).is_pointwise else "by ranges"


def tap_sums(
    group: Group, consumer: Consumer, found: Difference, *, graph: Graph
) -> list[NeuronSums]:
    """The sums of each tap over the window that all of them see.

    Args:
        group: The channels, of a convolution.
        consumer: The layer that reads them.
        found: The difference.
        graph: For the sizes.

    Returns:
        One a tap.
    """
    producer, taps = group.producer, joint_taps(group, consumer, graph)
    k, count = found.tap_offsets.shape
    rows = []
    for block in found.blocks:
        points = block.points.double()[None]
        if taps is not None and isinstance(producer, Convolution):
            kernels = points.reshape(len(block.points), -1, *producer.kernel)
            points = placed(kernels, producer, taps)
        rows.append(points.expand(count, -1, -1))
    weights = [block.weights.view(k, -1, count) for block in found.blocks]
    return [
        neuron_sums(
            [
                replace(block, points=points[tap], weights=own[:, :, tap])
                for block, points, own in zip(found.blocks, rows, weights, strict=True)
            ],
            found.tap_offsets[:, tap],
        )
        for tap in range(count)
    ]


def jointly(
    group: Group,
    consumer: Consumer,
    found: Difference,
    *,
    graph: Graph,
    radius: float,
    effort: float | None = None,
) -> Tensor:
    """Bounds for every pattern, over windows of the producer's input.

    Args:
        group: The channels, of a convolution.
        consumer: The layer that reads them.
        found: The difference.
        graph: For the sizes.
        radius: Of the windows.
        effort: Seconds for each pattern; None refines once where that is quick.

    Returns:
        Shape (P, k).
    """
    taps = joint_taps(group, consumer, graph) or taps_of(consumer, graph)
    sums, chosen = tap_sums(group, consumer, found, graph=graph), patterns(taps)
    width = sums[0].blocks[0].points.shape[1]
    rows = sum(len(block.points) for one in sums for block in one.blocks)
    cost = len(chosen) * len(found.offsets) * rows * min(rows, width)
    return joint_bounds(
        sums,
        ball(radius, dimension=width),
        patterns=chosen,
        offsets=found.offsets,
        effort=0.0 if effort is None and cost > SMALL else effort,
    )


def tap_by_tap(
    consumer: Consumer,
    found: Difference,
    *,
    graph: Graph,
    radius: float,
    effort: float | None = None,
) -> Tensor:
    """Bounds for every pattern, over patches of the producer's input. Arguments as `jointly`."""
    k, count = found.tap_offsets.shape
    blocks = [
        replace(block, weights=block.weights.view(k, -1, count).mT.flatten(0, 1))
        for block in found.blocks
    ]
    sums = neuron_sums(blocks, found.tap_offsets.flatten())
    rows = sum(len(block.points) for block in blocks)
    width = blocks[0].points.shape[1]
    if effort is None and k * count * rows * min(rows, width) > SMALL:
        effort = 0.0
    ends = certificate(sums, ball(radius, dimension=width), effort=effort)
    lower, upper = ends.lower.view(k, count), ends.upper.view(k, count)
    if consumer.passengers != without_pools(consumer).passengers:  # mixtures, zeros among them
        lower, upper = lower.clamp(max=0), upper.clamp(min=0)
    chosen = patterns(taps_of(consumer, graph))
    return separate_bounds(lower, upper, patterns=chosen, offsets=found.offsets)


def by_ranges(consumer: Consumer, one: View, other: View, *, kept: Tensor, graph: Graph) -> Tensor:
    """Bounds for every pattern, from the ranges of the channels. Shape (P, k)."""
    change = one.whole_weights.clone()
    change[:, kept] -= other.whole_weights
    low, high = one.whole.low[:, None], one.whole.high[:, None]
    ends = torch.stack([change * low, change * high])
    height = torch.maximum(low.abs(), high.abs())
    slack = (gamma(change.shape[1] + 64) + 2 * ACTIVATION_UNITS * UNIT) * (change.abs() * height)
    least, greatest = ends.amin(0).sum(1), ends.amax(0).sum(1)
    slack = slack.sum(1)
    chosen = patterns(taps_of(consumer, graph))
    return separate_bounds(
        least - slack,
        greatest + slack,
        patterns=chosen,
        offsets=one.constant - other.constant,
    )
