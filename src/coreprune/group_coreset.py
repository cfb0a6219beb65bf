"""The coreset of a group: one choice of neurons, shared by every layer that reads them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from coreprune.core.coreset import Method, select
from coreprune.core.moments import Moments, uncentred
from coreprune.core.reconstruction import expected_error
from coreprune.core.sample_size import error_of_draws, spread
from coreprune.core.selection.paths import Reader, follows_a_path, subsets_of
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.core.subset import WeightedSubset
from coreprune.graph.cut import Cut
from coreprune.graph.groups import Group, passengers_of
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import Layer, layer_of
from coreprune.result import GroupRecord

DELTA = 0.05
"""The probability with which a guaranteed error may fail."""


def group_coreset(  # noqa: PLR0913 (what the plan says of one group)
    group: Group,
    parameters: Parameters,
    *,
    method: Method,
    num_neurons: int,
    query_radius: float,
    moments: Sequence[Moments],
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
        moments: Of the neurons as each consumer sees them; only methods with a path need
            them.
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
    if follows_a_path(method):
        readers = _readers(group, layers, moments)
        subsets = subsets_of(method, readers, num_neurons=num_neurons)
    else:
        subset = select(
            method,
            layers[0].points,
            torch.cat([layer.weights for layer in layers]),
            sensitivities=s,
            num_neurons=num_neurons,
            generator=generator,
        )
        subsets = _split(subset, layers)
    record = GroupRecord(
        name=group.name,
        passengers=passengers_of(group),
        consumers=tuple(consumer.affine.name for consumer in group.consumers),
        neurons_before=group.neurons,
        neurons_after=len(subsets[0].indices),
        kept=tuple(subsets[0].indices.tolist()),
        num_draws=subsets[0].num_draws,
        query_radius=query_radius,
        total_sensitivity=float(s.sum()),
        guaranteed_error=_guarantee(subsets[0].num_draws, s, layers, query_radius=query_radius),
        expected_error=_expected(layers, moments, subsets),
        ridge=_worst(subset.ridge for subset in subsets),
        condition_number=_worst(subset.condition_number for subset in subsets),
    )
    return _cut_of(group, subsets), record


def _cut_of(group: Group, subsets: Sequence[WeightedSubset]) -> Cut:
    return Cut(
        group=group,
        indices=subsets[0].indices,
        weights=tuple(subset.weights for subset in subsets),
        shifts={
            consumer.affine.bias: subset.bias_shift
            for consumer, subset in zip(group.consumers, subsets, strict=True)
            if consumer.affine.bias is not None and subset.bias_shift.any()
        },
    )


def _readers(group: Group, layers: Sequence[Layer], moments: Sequence[Moments]) -> list[Reader]:
    """What each consumer reads; one without a bias of its own cannot shift a mean away."""
    return [
        (layer.weights, own if consumer.free_bias else uncentred(own))
        for layer, own, consumer in zip(layers, moments, group.consumers, strict=True)
    ]


def _split(subset: WeightedSubset, layers: Sequence[Layer]) -> tuple[WeightedSubset, ...]:
    """One subset a consumer from the one chosen for all."""
    outputs = [len(layer.weights) for layer in layers]
    return tuple(
        replace(subset, weights=weights, bias_shift=shift)
        for weights, shift in zip(
            torch.split(subset.weights, outputs),
            torch.split(subset.bias_shift, outputs),
            strict=True,
        )
    )


def _expected(
    layers: Sequence[Layer], moments: Sequence[Moments], subsets: Sequence[WeightedSubset]
) -> float | None:
    """The root mean square, over the law and all outputs, of what the consumers' inputs change."""
    if not moments:
        return None
    outputs = sum(len(layer.weights) for layer in layers)
    total = sum(
        expected_error(layer.weights, own, subset)
        for layer, own, subset in zip(layers, moments, subsets, strict=True)
    )
    return math.sqrt(total / outputs)


def _worst(values: Iterable[float | None]) -> float | None:
    """The largest of the consumers' numbers, None where nothing was solved."""
    return max((value for value in values if value is not None), default=None)


def _largest(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).amax(0)


def _guarantee(
    num_draws: int | None, s: Tensor, layers: Sequence[Layer], *, query_radius: float
) -> float | None:
    """The ε of the theorem, where draws were made and the activation is Lipschitz."""
    if num_draws is None:
        return None
    slopes = _largest(
        slope_sensitivities(
            layer.points, layer.weights, activation=layer.activation, query_radius=query_radius
        )
        for layer in layers
    )
    if not torch.isfinite(slopes).all():
        return None
    return error_of_draws(
        num_draws,
        total=float(s.sum()),
        spread=spread(s, slopes),
        num_outputs=sum(len(layer.weights) for layer in layers),
        delta=DELTA,
    )
