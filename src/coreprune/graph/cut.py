"""Cut a group out of the parameters, and put the cut back at full width for comparison."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coreprune.core.taps import columns
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters, parameters_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """What happens to a group.

    Attributes:
        group: The group.
        indices: The neurons kept, sorted. Shape (m,).
        weights: The new outgoing weights of each consumer, in their order, those of one neuron side
            by side. Shapes (k_c, m taps_c).
        shifts: What the consumers' constants gain, by their names. Shapes (k_c,).
    """

    group: Group
    indices: Tensor
    weights: tuple[Tensor, ...]
    shifts: Mapping[str, Tensor] = field(default_factory=dict)


def rows_of(group: Group) -> tuple[str, ...]:
    """The parameters that have one row a neuron: the producers' and the passengers'."""
    passengers = (passenger for consumer in group.consumers for passenger in consumer.passengers)
    nodes = (group.producer, *group.gates, *passengers)
    names = [name for node in nodes for name in parameters_of(node)]
    return tuple(dict.fromkeys(names))


def columns_of(group: Group) -> tuple[str, ...]:
    """The parameters that have one column a neuron: the consumers' weights."""
    return tuple(consumer.affine.weight for consumer in group.consumers)


def placed(group: Group, shifts: Iterable[Tensor]) -> dict[str, Tensor]:
    """Constants that a cut adds to what each consumer gives, where they are kept.

    Args:
        group: The group.
        shifts: One a consumer, zero for one that has no place for it. Shapes (k_c,).

    Returns:
        What those parameters gain, by their names.
    """
    return {
        consumer.constant: consumer.sign * shift
        for consumer, shift in zip(group.consumers, shifts, strict=True)
        if consumer.constant is not None and shift.any()
    }


def shrink(parameters: Parameters, cut: Cut) -> dict[str, Tensor]:
    """The parameters after a cut; those given stay as they are.

    Args:
        parameters: The tensors before it.
        cut: The cut, whose weights have the consumers' present number of rows.

    Returns:
        A new mapping; tensors that the cut does not touch are the same objects.
    """
    result = dict(parameters)
    for name in rows_of(cut.group):
        if len(result[name]) == cut.group.neurons:  # one entry for all neurons stays
            result[name] = result[name].index_select(0, cut.indices.to(result[name].device))
    for name, weights in zip(columns_of(cut.group), cut.weights, strict=True):
        kernel = result[name].shape[2:]  # of a convolution
        columns = weights.shape[1] // math.prod(kernel)
        result[name] = weights.reshape(len(weights), columns, *kernel).to(result[name])
    for name, shift in cut.shifts.items():
        result[name] = (result[name].double() + shift.to(result[name].device)).to(result[name])
    return result


def widen(small: Parameters, original: Parameters, cuts: Sequence[Cut]) -> Mapping[str, Tensor]:
    """The cut network at the original width: neurons that are gone have zero outgoing weights.

    Args:
        small: The parameters after all cuts.
        original: The parameters before any.
        cuts: The cuts.

    Returns:
        Only the weights and shifted biases of the consumers; every other one is the original's.
    """
    rows = {name: cut.indices for cut in cuts for name in rows_of(cut.group)}
    read = {
        name: columns(cut.indices, original[name].shape[1] // cut.group.neurons)
        for cut in cuts
        for name in columns_of(cut.group)
    }
    shifted = {name for cut in cuts for name in cut.shifts}
    result = {}
    for name in (*read, *shifted):
        full = original[name].clone()
        stay = rows.get(name, torch.arange(len(full))).to(full.device)
        if name in read:
            full[stay] = 0
            full[stay[:, None], read[name].to(full.device)] = small[name]
        else:
            full[stay] = small[name]
        result[name] = full
    return result
