"""The coreset of a group: one choice of neurons, shared by every layer that reads them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Generator, Tensor

from coreprune.core.coreset import Method, Sampler, select
from coreprune.core.reconstruction import expected_error
from coreprune.core.sample_size import error_of_draws, spread
from coreprune.core.selection.paths import Reader, follows_a_path, solved
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.core.subset import WeightedSubset, reweighted
from coreprune.core.taps import columns
from coreprune.coresets.views import View
from coreprune.graph.cut import Cut, placed
from coreprune.graph.groups import Group, passengers_of
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import Layer, by_neuron, layer_of
from coreprune.records import GroupRecord

DELTA = 0.05
"""The probability with which a guaranteed error may fail."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Neurons chosen under a law of the queries.

    Attributes:
        kept: Their indices, sorted. Shape (m,).
        views: What each consumer sees of all neurons.
        roots: L of each consumer: ‖L e‖² is what its error e changes an output by, squared.
    """

    kept: Tensor
    views: Sequence[View]
    roots: Sequence[Tensor]


def group_coreset(  # noqa: PLR0913 (what the plan says of one group)
    group: Group,
    parameters: Parameters,
    *,
    method: Method,
    num_neurons: int,
    query_radius: float,
    selection: Selection | None,
    generator: Generator,
) -> tuple[Cut, GroupRecord]:
    """The new weights of all consumers of a group for the neurons that stay.

    A neuron's sensitivity is its largest over the consumers; each consumer may see it through
    passengers of its own.

    Args:
        group: The group.
        parameters: The network's tensors as earlier cuts left them.
        method: How to choose.
        num_neurons: How many stay.
        query_radius: β, of the producer's input.
        selection: The neurons that stay, for methods with a law; the others choose here.
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
    if num_neurons == group.neurons:
        chosen = _everything(group, layers)
    elif selection is not None:
        chosen = _Chosen(kept=selection.kept, subsets=solved(_readers(selection), selection.kept))
    else:
        subset = select(
            cast("Sampler", method),
            layers[0].points,
            torch.cat([layer.weights for layer in layers]),
            sensitivities=s,
            num_neurons=num_neurons,
            generator=generator,
        )
        chosen = _apart(group, subset, layers)
    errors: tuple[float | None, float | None] = (None, None)
    if follows_a_path(method):
        errors = (0.0, 0.0) if selection is None else _errors(selection, chosen.subsets)
    record = GroupRecord(
        name=group.name,
        passengers=passengers_of(group),
        consumers=tuple(consumer.affine.name for consumer in group.consumers),
        neurons_before=group.neurons,
        neurons_after=len(chosen.kept),
        kept=tuple(chosen.kept.tolist()),
        num_draws=chosen.num_draws,
        query_radius=query_radius,
        total_sensitivity=float(s.sum()),
        guaranteed_error=_guarantee(chosen.num_draws, s, layers, query_radius=query_radius)
        if group.is_plain
        else None,
        expected_error=errors[0],
        output_error=errors[1],
        ridge=_worst(subset.ridge for subset in chosen.subsets),
        condition_number=_worst(subset.condition_number for subset in chosen.subsets),
    )
    return _cut_of(group, chosen, selection), record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chosen:
    """The neurons kept, sorted, and of each consumer the subset of its columns."""

    kept: Tensor
    subsets: tuple[WeightedSubset, ...]
    num_draws: int | None = None


def _everything(group: Group, layers: Sequence[Layer]) -> _Chosen:
    subsets = []
    for layer, consumer in zip(layers, group.consumers, strict=True):
        weights = by_neuron(layer.weights, consumer.taps)
        subsets.append(reweighted(weights, torch.arange(weights.shape[1])))
    return _Chosen(kept=torch.arange(group.neurons), subsets=tuple(subsets))


def _apart(group: Group, subset: WeightedSubset, layers: Sequence[Layer]) -> _Chosen:
    """One subset a consumer from the one chosen for all, every tap of each an output."""
    subsets = []
    parts = torch.split(subset.weights, [len(layer.weights) for layer in layers])
    for weights, consumer in zip(parts, group.consumers, strict=True):
        together = by_neuron(weights, consumer.taps)
        shift = together.new_zeros(len(together))  # sampling leaves constants alone
        own = replace(
            subset,
            indices=columns(subset.indices, consumer.taps),
            weights=together,
            bias_shift=shift,
        )
        subsets.append(own)
    return _Chosen(kept=subset.indices, subsets=tuple(subsets), num_draws=subset.num_draws)


def _cut_of(group: Group, chosen: _Chosen, selection: Selection | None) -> Cut:
    shifts = [subset.bias_shift for subset in chosen.subsets]
    if selection is not None and len(chosen.kept) < group.neurons:
        shifts = [shift + view.offset for shift, view in zip(shifts, selection.views, strict=True)]
    return Cut(
        group=group,
        indices=chosen.kept,
        weights=tuple(subset.weights for subset in chosen.subsets),
        shifts=placed(group, shifts),
    )


def _readers(selection: Selection) -> list[Reader]:
    return [
        Reader(weights=view.weights, moments=view.moments, taps=view.taps)
        for view in selection.views
    ]


def _errors(
    selection: Selection, subsets: Sequence[WeightedSubset]
) -> tuple[float | None, float | None]:
    """The root mean square change of the consumers' inputs and of the outputs under the law."""
    if len(subsets[0].indices) == selection.views[0].weights.shape[1]:
        return 0.0, 0.0
    own, outputs, count = 0.0, 0.0, 0
    for view, root, subset in zip(selection.views, selection.roots, subsets, strict=True):
        own += expected_error(view.weights, view.moments, subset)
        seen = replace(subset, weights=root @ subset.weights, bias_shift=root @ subset.bias_shift)
        outputs += expected_error(root @ view.weights, view.moments, seen)
        count += len(view.weights)
    return math.sqrt(own / count), math.sqrt(outputs)


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
