"""What the taps of a convolution see of the input of the convolution before it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.graph.groups import Consumer, Group, Linear
from coreprune.graph.ir import Convolution, Elementwise, Graph, Norm, Reshape

Extents = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """The positions that a layer reads together, axis by axis.

    Attributes:
        kernel: How many.
        stride: The step from one patch to the next.
        dilation: The step from one tap to the next.
        padding: Zeros before and after the map.
        sizes: Of the map that it reads, for the example inputs.
    """

    kernel: Extents
    stride: Extents
    dilation: Extents
    padding: tuple[tuple[int, int], ...]
    sizes: Extents


def taps_of(consumer: Consumer, graph: Graph) -> Taps:
    """How a layer reads the positions of a map; all at once where they were flattened.

    Args:
        consumer: The layer; positions that were flattened count as one axis.
        graph: For the sizes.

    Returns:
        Its taps, as many as `consumer.taps`.
    """
    affine = consumer.affine
    if isinstance(affine, Convolution):
        return Taps(
            kernel=affine.kernel,
            stride=affine.stride,
            dilation=affine.dilation,
            padding=affine.padding,
            sizes=tuple(graph.shapes[affine.input][2:]),
        )
    return whole_map((consumer.taps,))


def whole_map(sizes: Extents) -> Taps:
    """A kernel as large as the map."""
    ones = (1,) * len(sizes)
    return Taps(
        kernel=sizes, stride=ones, dilation=ones, padding=((0, 0),) * len(sizes), sizes=sizes
    )


def patterns(taps: Taps) -> Tensor:
    """Every set of taps that lie in the map for some place of the patch, each once.

    Tap t of the patch at place o is at o·stride − padding + t·dilation; the others read zeros.

    Args:
        taps: The taps.

    Returns:
        Whether a tap is in the map, taps in the order of a flattened kernel. Shape (P, T).

    Example:
        >>> edge = Taps(kernel=(3,), stride=(1,), dilation=(1,), padding=((1, 1),), sizes=(5,))
        >>> patterns(edge).int().tolist()
        [[0, 1, 1], [1, 1, 1], [1, 1, 0]]
    """
    axes = [_along(taps, axis) for axis in range(len(taps.kernel))]
    rows = [
        [all(inside) for inside in itertools.product(*pattern)]
        for pattern in itertools.product(*axes)
    ]
    return torch.tensor(list(dict.fromkeys(map(tuple, rows))), dtype=torch.bool)


def _along(taps: Taps, axis: int) -> list[tuple[bool, ...]]:
    size, (before, after) = taps.sizes[axis], taps.padding[axis]
    kernel, gap = taps.kernel[axis], taps.dilation[axis]
    last = size + after - gap * (kernel - 1) - 1
    corners = range(-before, last + 1, taps.stride[axis])
    seen = (tuple(0 <= corner + t * gap < size for t in range(kernel)) for corner in corners)
    return list(dict.fromkeys(seen))


def joint_extent(producer: Convolution, taps: Taps) -> Extents:
    """The window of the producer's input that holds all that the taps see of it.

    (kernel′ − 1)·dilation′·stride + (kernel − 1)·dilation + 1 along each axis, primes of the taps.
    """
    every = zip(
        taps.kernel, taps.dilation, producer.stride, producer.kernel, producer.dilation, strict=True
    )
    return tuple((kq - 1) * dq * sp + (kp - 1) * dp + 1 for kq, dq, sp, kp, dp in every)


def placed(kernels: Tensor, producer: Convolution, taps: Taps) -> Tensor:
    """The producer's kernels where each tap sees them, in the window that holds them all.

    Args:
        kernels: Of the producer. Shape (n, d, *kernel).
        producer: How it moves.
        taps: The taps of the layer that reads its channels.

    Returns:
        Rows in the window of `joint_extent`, flat. Shape (T, n, d · ΠE).
    """
    places = list(itertools.product(*(range(count) for count in taps.kernel)))
    wide = kernels.new_zeros(len(places), *kernels.shape[:2], *joint_extent(producer, taps))
    for tap, place in enumerate(places):
        corners = [
            at * gap * step
            for at, gap, step in zip(place, taps.dilation, producer.stride, strict=True)
        ]
        spans: list[slice] = [
            slice(corner, corner + (kernel - 1) * gap + 1, gap)
            for corner, kernel, gap in zip(corners, producer.kernel, producer.dilation, strict=True)
        ]
        wide[tap][(slice(None), slice(None), *spans)] = kernels
    return wide.flatten(2)


def joint_taps(group: Group, consumer: Consumer, graph: Graph) -> Taps | None:
    """The taps of a layer whose channels' values all are parts of one window of the input.

    Args:
        group: The channels.
        consumer: The layer that reads them.
        graph: Where both are.

    Returns:
        The taps over the axes of the producer's map; None where there is only one, where something
        between the two mixes positions or exchanges their axes, or the producer is no convolution.
    """
    producer, affine = group.producer, consumer.affine
    if not isinstance(producer, Convolution) or consumer.taps == 1 or not consumer.is_pointwise:
        return None
    flat = not isinstance(affine, Convolution)
    if group.gates or not _is_straight(producer, affine, graph, reshaped=flat):
        return None
    if not flat:
        return taps_of(consumer, graph)
    sizes = tuple(graph.shapes[producer.output][2:])
    return whole_map(sizes) if math.prod(sizes) == consumer.taps else None


def _is_straight(producer: Linear, reader: Linear, graph: Graph, *, reshaped: bool) -> bool:
    """Whether positions stay where they are; `reshaped` allows a flattening."""
    makers = {
        node.output: node for node in graph.nodes if isinstance(node, Norm | Elementwise | Reshape)
    }
    value = reader.input
    while value != producer.output:
        node = makers.get(value)
        if node is None or (isinstance(node, Reshape) and not reshaped):
            return False
        value = node.input
    return True


def window_of(group: Group, graph: Graph) -> Extents | None:
    """The smallest window that holds what any of the readers' taps see together.

    Args:
        group: The group.
        graph: Where it is.

    Returns:
        Its extents; None where what the producer reads at one position is all that counts.
    """
    found: Sequence[Extents] = [
        joint_extent(group.producer, taps)
        for consumer in group.consumers
        if (taps := joint_taps(group, consumer, graph)) is not None
        and isinstance(group.producer, Convolution)
    ]
    return tuple(map(max, zip(*found, strict=True))) if found else None
