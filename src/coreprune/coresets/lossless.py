"""A group without the neurons that its readers do not need, and how large its inputs get."""

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from coreprune.core.lossless import Reason, Removal, largest_output, remove_lossless
from coreprune.core.parallel import Reading
from coreprune.graph.cut import Cut, placed
from coreprune.graph.groups import Consumer, Group, passengers_of
from coreprune.graph.ir import Convolution, Norm, Parameters, Pool, parameters_of
from coreprune.graph.layer import by_neuron, layer_of, scale_and_shift
from coreprune.records import GroupRecord


def readings_of(group: Group, parameters: Parameters) -> list[Reading]:
    """A group as each of its readers sees it.

    Args:
        group: The group.
        parameters: The network's tensors as earlier cuts left them.

    Returns:
        One reading a consumer.
    """
    stored = [parameters[name] for name in parameters_of(group.producer)]
    eps = max(torch.finfo(tensor.dtype).eps for tensor in stored)
    readings = []
    for consumer in group.consumers:
        layer = layer_of(group, consumer, parameters)
        readings.append(
            Reading(
                points=layer.points,
                bias=layer.bias,
                activation=layer.activation,
                weights=layer.weights,
                parameters=_apart(consumer, parameters, like=layer.bias),
                free_bias=consumer.free_bias and not _at_borders(consumer),
                eps=eps,
            )
        )
    return readings


def _apart(consumer: Consumer, parameters: Parameters, *, like: Tensor) -> Tensor:
    """What makes passengers act differently on different neurons. Shape (n, p)."""
    columns = [like.double().new_zeros(len(like), 0)]
    for passenger in consumer.passengers:
        if isinstance(passenger, Norm):
            own = list(scale_and_shift(passenger, parameters))
        else:
            own = [parameters[name].double() for name in parameters_of(passenger)]
        columns += [
            column.flatten(1) if column.ndim > 1 else column.expand(len(like))[:, None]
            for column in own
        ]
    return torch.cat(columns, dim=1)


def _at_borders(consumer: Consumer) -> bool:
    """Whether some of its taps may see zeros instead of a neuron, so that no constant stays one."""
    convolutions = [
        one for one in (*consumer.passengers, consumer.affine) if isinstance(one, Convolution)
    ]
    pads = any(side for one in convolutions for pair in one.padding for side in pair)
    return pads or any(isinstance(one, Pool) for one in consumer.passengers)


def lossless_cut(
    group: Group, parameters: Parameters, *, query_radius: float
) -> tuple[Cut, Removal]:
    """What is left of a group without a loss.

    Args:
        group: The group, its neurons counted as earlier cuts left them.
        parameters: The network's tensors, likewise.
        query_radius: β, a bound of the producer's input; infinity where there is none.

    Returns:
        The cut, and why each neuron went.
    """
    removal = remove_lossless(readings_of(group, parameters), query_radius=query_radius)
    cut = Cut(
        group=group,
        indices=removal.subsets[0].indices,
        weights=tuple(
            by_neuron(subset.weights, consumer.taps)
            for consumer, subset in zip(group.consumers, removal.subsets, strict=True)
        ),
        shifts=placed(
            group,
            [
                subset.bias_shift.view(-1, consumer.taps).sum(1)
                for consumer, subset in zip(group.consumers, removal.subsets, strict=True)
            ],
        ),
    )
    return cut, removal


def radii_behind(group: Group, parameters: Parameters, *, query_radius: float) -> dict[str, float]:
    """Bounds of what the readers of a group get, by their weights' names; of patches every tap."""
    return {
        consumer.affine.weight: math.sqrt(consumer.taps)
        * largest_output(reading, query_radius=query_radius)
        for consumer, reading in zip(group.consumers, readings_of(group, parameters), strict=True)
    }


def record_of(group: Group, kept: Tensor, *, query_radius: float) -> GroupRecord:
    """The record of a group from which neurons went without a loss.

    Args:
        group: The group as it was.
        kept: The neurons that stayed. Shape (m,).
        query_radius: β, infinite where unknown.

    Returns:
        The record.
    """
    return GroupRecord(
        name=group.name,
        passengers=passengers_of(group),
        consumers=tuple(consumer.affine.name for consumer in group.consumers),
        neurons_before=group.neurons,
        neurons_after=len(kept),
        kept=tuple(kept.tolist()),
        num_draws=None,
        query_radius=query_radius if math.isfinite(query_radius) else None,
        total_sensitivity=None,
        guaranteed_error=None,
        expected_error=None,
        output_error=None,
        ridge=None,
        condition_number=None,
    )


def note_of(name: str, reasons: Mapping[int, Reason], *, query_radius: float) -> str:
    """What went from a group and why, in one line.

    Example:
        >>> note_of("fc1", {0: "dead", 1: "dead", 2: "duplicate"}, query_radius=9.2)
        'fc1: 2 dead on the ball of radius 9.2, 1 duplicate'
    """
    known = math.isfinite(query_radius)
    words = {
        "dead": f"dead on the ball of radius {query_radius:.4g}" if known else "dead",
        "constant": "constant",
        "duplicate": "duplicate",
        "collinear": "collinear",
        "unread": "unread",
    }
    counts = Counter(words[reason] for reason in reasons.values())
    found = [f"{counts[word]} {word}" for word in words.values() if counts[word]]
    if counts["duplicate"] > 1:
        found = [f"{entry}s" if entry.endswith("duplicate") else entry for entry in found]
    where = "" if known else "; no bound of its inputs is known"
    return f"{name}: {', '.join(found) or 'nothing to remove'}{where}"
