"""Cut a group out of the parameters, and put the cut back at full width for comparison."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coreprune.graph.groups import Group
from coreprune.graph.ir import Convolution, Parameters, parameters_of
from coreprune.graph.slices import Slice

Axis = tuple[str, int]
"""A parameter's name and 0 for its rows, 1 for its columns."""

Span = tuple[int, int]
"""The first entry and the one behind the last."""


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


def axes_of(group: Group) -> list[Axis]:
    """The axes that have entries of a group's neurons."""
    return [(name, 0) for name in rows_of(group)] + [(name, 1) for name in columns_of(group)]


def entries_left(cuts: Iterable[Cut], sizes: Mapping[Axis, int]) -> dict[Axis, Tensor]:
    """What of some axes cuts left, whichever groups their entries belong to.

    Args:
        cuts: Some cuts, at most one a group.
        sizes: The axes, and how many entries they had.

    Returns:
        For each the entries that are left by their place in the original, sorted. Shapes (m,).
    """
    stay = {axis: torch.ones(size, dtype=torch.bool) for axis, size in sizes.items()}
    for cut in cuts:
        kept = torch.zeros(cut.group.neurons, dtype=torch.bool)
        kept[cut.indices.cpu()] = True
        for axis, spans in _extents(cut.group, sizes).items():
            for start, stop in spans:
                each = (stop - start) // cut.group.neurons
                stay[axis][start:stop] = kept.repeat_interleave(each)
    return {axis: mask.nonzero().flatten() for axis, mask in stay.items()}


def _extents(group: Group, sizes: Mapping[Axis, int]) -> dict[Axis, tuple[Span, ...]]:
    """From where to where a group reaches on those of the axes that it owns, in the original."""
    whole = {axis: ((0, sizes[axis]),) for axis in axes_of(group) if axis in sizes}
    return whole | {
        axis: tuple((part.start, part.stop) for part in parts)
        for axis, parts in _slices_by_axis(group).items()
        if axis in sizes
    }


def _slices_by_axis(group: Group) -> dict[Axis, list[Slice]]:
    found: dict[Axis, list[Slice]] = defaultdict(list)
    for part in sorted(group.slices, key=lambda part: part.start):
        found[part.parameter, part.axis].append(part)
    return found


def spans_of(group: Group, cuts: Sequence[Cut] = ()) -> dict[Axis, tuple[Span, ...]]:
    """From where to where a group's parts of tensors reach after cuts.

    Args:
        group: The group.
        cuts: What was cut so far, of this or other groups.

    Returns:
        In their order, one each but for rows that are split into parts; nothing of tensors that it
        has to itself.
    """
    if group.is_alone:
        return {}
    slices = _slices_by_axis(group)
    left = entries_left(cuts, {axis: parts[0].size for axis, parts in slices.items()})
    return {
        axis: tuple(
            (int((left[axis] < part.start).sum()), int((left[axis] < part.stop).sum()))
            for part in parts
        )
        for axis, parts in slices.items()
    }


def parts_of(group: Group, parameters: Parameters, cuts: Sequence[Cut] = ()) -> Parameters:
    """The parameters as if nothing but a group's neurons were in the tensors that it touches.

    Args:
        group: The group.
        parameters: The tensors as the cuts left them.
        cuts: These cuts.

    Returns:
        A mapping in which tensors that the group shares are views of its part of them, and those
        whose rows are split into parts views of the first; those that it has to itself, and all
        others, are the same objects.
    """
    return parameters if group.is_alone else _narrowed(parameters, spans_of(group, cuts))


def _narrowed(parameters: Parameters, spans: Mapping[Axis, Sequence[Span]]) -> Parameters:
    result = dict(parameters)
    for (name, axis), ((start, stop), *_) in spans.items():
        result[name] = result[name].narrow(axis, start, stop - start)
    return result


def columns_read(group: Group, cuts: Sequence[Cut] = ()) -> dict[str, slice]:
    """Which of the numbers that the readers of a group read are its own.

    Args:
        group: The group.
        cuts: What was cut so far.

    Returns:
        Slices of the rows, or of the patches with taps of a channel side by side, that a consumer
        reads, by its weight's name.
    """
    spans, found = spans_of(group, cuts), {}
    for consumer in group.consumers:
        weight, affine = consumer.affine.weight, consumer.affine
        taps = affine.taps if isinstance(affine, Convolution) else 1
        (span,) = spans.get((weight, 1), (None,))
        found[weight] = slice(None) if span is None else slice(span[0] * taps, span[1] * taps)
    return found


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


def shrink(parameters: Parameters, cut: Cut, earlier: Sequence[Cut] = ()) -> dict[str, Tensor]:
    """The parameters after a cut; those given stay as they are.

    Args:
        parameters: The tensors before it.
        cut: The cut, whose weights have the consumers' present number of rows.
        earlier: The cuts that made the tensors what they are.

    Returns:
        A new mapping; tensors that the cut does not touch are the same objects.
    """
    group, result = cut.group, dict(parameters)
    spans = spans_of(group, earlier)
    for name in rows_of(group):
        for span in reversed(spans.get((name, 0), [(0, len(result[name]))])):
            result[name] = _rows_kept(cut, result[name], span)
    for name, weights in zip(columns_of(group), cut.weights, strict=True):
        before = result[name]
        kernel = before.shape[2:]  # of a convolution
        columns = weights.shape[1] // math.prod(kernel)
        read = weights.reshape(len(weights), columns, *kernel).to(before)
        (span,) = spans.get((name, 1), [(0, before.shape[1])])
        result[name] = _put(read, before, axis=1, span=span)
    for name, shift in cut.shifts.items():
        result[name] = (result[name].double() + shift.to(result[name].device)).to(result[name])
    return result


def _rows_kept(cut: Cut, rows: Tensor, span: Span) -> Tensor:
    """A tensor without the rows of dropped neurons among those of a span."""
    start, stop = span
    if stop - start != cut.group.neurons:
        return rows  # one entry for all neurons stays
    kept = rows[start:stop].index_select(0, cut.indices.to(rows.device))
    return _put(kept, rows, axis=0, span=span)


def _put(part: Tensor, whole: Tensor, *, axis: int, span: Span) -> Tensor:
    """A tensor with a part of an axis replaced."""
    start, stop = span
    if (start, stop) == (0, whole.shape[axis]):
        return part
    rest = whole.shape[axis] - stop
    return torch.cat([whole.narrow(axis, 0, start), part, whole.narrow(axis, stop, rest)], axis)


def widen(small: Parameters, original: Parameters, cuts: Sequence[Cut]) -> Mapping[str, Tensor]:
    """The cut network at the original width: neurons that are gone have zero outgoing weights.

    Args:
        small: The parameters after all cuts.
        original: The parameters before any.
        cuts: The cuts.

    Returns:
        Only the weights and shifted biases of the consumers; every other one is the original's.
    """
    read = {name: None for cut in cuts for name in columns_of(cut.group)}
    shifted = {name: None for cut in cuts for name in cut.shifts}
    rows = {(name, 0): len(original[name]) for name in (*read, *shifted)}
    columns = {(name, 1): original[name].shape[1] for name in read}
    left = entries_left(cuts, rows | columns)
    result = {}
    for name in (*read, *shifted):
        full = original[name].clone()
        stay = left[name, 0].to(full.device)
        if name in read:
            full[stay] = 0
            full[stay[:, None], left[name, 1].to(full.device)] = small[name]
        else:
            full[stay] = small[name]
        result[name] = full
    return result
