"""The coreset of a group: one choice of neurons, shared by every layer that reads them."""

from collections.abc import Iterable

import torch
from torch import Generator, Tensor

from coreprune.core.coreset import Method, select
from coreprune.core.sample_size import error_of_draws, spread
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.graph.cut import Cut
from coreprune.graph.groups import Group, passengers_of
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import layer_of
from coreprune.result import GroupRecord

DELTA = 0.05
"""The probability with which a guaranteed error may fail."""


def group_coreset(
    group: Group,
    parameters: Parameters,
    *,
    method: Method,
    num_neurons: int,
    query_radius: float,
    generator: Generator,
) -> tuple[Cut, GroupRecord]:
    """Choose the neurons of a group that stay, for all its consumers at once.

    A neuron's sensitivity is its largest over the consumers; each consumer may see it through
    passengers of its own.

    Args:
        group: The group.
        parameters: The network's tensors as earlier cuts left them.
        method: How to choose.
        num_neurons: How many stay.
        query_radius: β, of the producer's input.
        generator: The source of randomness, on the CPU.

    Returns:
        The cut and its record.
    """
    layers = [layer_of(group, consumer, parameters) for consumer in group.consumers]
    s = _largest(
        sensitivities(
            layer.points,
            layer.weights,
            activation=layer.activation,
            query_radius=query_radius,
            bias=layer.bias,
        )
        for layer in layers
    )
    subset = select(
        method,
        layers[0].points,
        torch.cat([layer.weights for layer in layers]),
        sensitivities=s,
        num_neurons=num_neurons,
        generator=generator,
    )
    outputs = [len(layer.weights) for layer in layers]
    cut = Cut(group=group, indices=subset.indices, weights=torch.split(subset.weights, outputs))
    slopes = _largest(
        slope_sensitivities(
            layer.points, layer.weights, activation=layer.activation, query_radius=query_radius
        )
        for layer in layers
    )
    record = GroupRecord(
        name=group.name,
        passengers=passengers_of(group),
        consumers=tuple(consumer.affine.name for consumer in group.consumers),
        neurons_before=group.neurons,
        neurons_after=len(subset.indices),
        kept=tuple(subset.indices.tolist()),
        num_draws=subset.num_draws,
        query_radius=query_radius,
        total_sensitivity=float(s.sum()),
        guaranteed_error=_guarantee(subset.num_draws, s, slopes, num_outputs=sum(outputs)),
    )
    return cut, record


def _largest(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).amax(0)


def _guarantee(
    num_draws: int | None, s: Tensor, slopes: Tensor, *, num_outputs: int
) -> float | None:
    """The ε of the theorem, where draws were made and the activation is Lipschitz."""
    if num_draws is None or not torch.isfinite(slopes).all():
        return None
    return error_of_draws(
        num_draws,
        total=float(s.sum()),
        spread=spread(s, slopes),
        num_outputs=num_outputs,
        delta=DELTA,
    )
