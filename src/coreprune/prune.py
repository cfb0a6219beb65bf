"""The one natural way through: model, graph, groups, budget, cut, postcondition, result."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Generator, Tensor, nn

from coreprune.budget import Keep, check_keep, widths
from coreprune.core.coreset import Method, check_method, select
from coreprune.core.sample_size import error_of_draws, spread
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.cut import Cut, shrink, widen
from coreprune.graph.groups import Group, Partition, Whole, find_groups, passengers_of
from coreprune.graph.ir import Parameters
from coreprune.graph.layer import layer_of
from coreprune.queries.ball import Ball
from coreprune.query_space import QuerySpace, query_space
from coreprune.result import GroupRecord, PruneResult, WholeRecord
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.lower import tensors_of
from coreprune.shells.torch_module.modules import nonfinite, with_tensors
from coreprune.shells.torch_module.postcondition import violation
from coreprune.shells.torch_module.subject import Subject, prepare

Order = Literal["top_down", "bottom_up"]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and how many there are."""

DELTA = 0.05
"""The probability with which a guaranteed error may fail."""


def prune(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    model: nn.Module,
    example_inputs: Any,  # noqa: ANN401
    *,
    keep: Keep,
    method: Method = "priority",
    order: Order = "top_down",
    queries: Ball | None = None,
    round_to: int = 1,
    skip: Collection[str] = (),
    example_kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401
    seed: int = 0,
    progress: Progress | None = None,
) -> PruneResult:
    """Replace the hidden layers of a trained network by coresets of their neurons, without data.

    Args:
        model: A module; neither it nor its weights are touched.
        example_inputs: One tensor, or a tuple of positional arguments, that runs through the model.
            Only its shapes matter, and its norm unless `queries` is given.
        keep: A share of neurons in (0, 1], a mapping from layer name to share (layers that it does
            not name stay whole), or a `Budget`.
        method: "priority" (exact width, unbiased), "importance" (the paper's; the width is
            random, `keep` its expectation), "uniform" or "magnitude" (comparators).
        order: "top_down" cuts the layers next to the output first, as the paper does.
        queries: The ball of network inputs to plan for; by default that of the largest example.
        round_to: Widths become multiples of this where the method's width is exact.
        skip: Names of layers whose neurons all stay.
        example_kwargs: Keyword arguments of the forward pass.
        dynamic_shapes: Passed to `torch.export.export`.
        seed: Fixes every random choice.
        progress: Called as (what, done, of).

    Returns:
        The smaller model with a record of every group and of every layer left whole.

    Raises:
        ArgumentError: When an argument breaks its rule.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> result = prune(net, torch.randn(2, 8), keep=0.25)
        >>> result.model[0], net[0].out_features
        (Linear(in_features=8, out_features=25, bias=True), 100)

    References:
        Mussay, Osadchy, Braverman, Zhou, Feldman 2020, "Data-Independent Neural Pruning via
        Coresets".
    """
    _check(keep=keep, method=method, order=order, round_to=round_to, seed=seed)
    tell = progress or _silent
    tell("reading the model", 0, 1)
    subject = prepare(
        model, example_inputs, example_kwargs=example_kwargs, dynamic_shapes=dynamic_shapes
    )
    if strange := nonfinite(subject.working):
        raise UnsupportedModelError(
            f"model has NaN or infinite entries in {', '.join(strange)}; restore a sound checkpoint"
        )
    partition = find_groups(subject.graph, skip=_known(skip, subject))
    if not partition.groups:
        raise UnsupportedModelError(_nothing_to_cut(subject, partition))
    plan = _Plan(
        method=method,
        groups=partition.groups if order == "bottom_up" else partition.groups[::-1],
        widths=widths(keep, partition.groups, subject.graph.parameters, round_to=round_to),
        space=query_space(subject, partition.groups, queries=queries, seed=seed),
        generators=_generators(partition.groups, seed),
    )
    outcome = _cut_soundly(subject, plan, tell)
    original = tensors_of(subject.source)
    smaller = with_tensors(subject.source, outcome.parameters)
    return PruneResult(
        model=smaller,
        groups=tuple(
            outcome.records[group.name]
            for group in partition.groups
            if group.name in outcome.records
        ),
        whole=tuple(
            WholeRecord(name=entry.name, reason=entry.reason)
            for entry in (*partition.whole, *outcome.restored)
        ),
        method=method,
        order=order,
        seed=seed,
        query_space=plan.space.words,
        parameters_before=_size(subject.source),
        parameters_after=_size(smaller),
        original_shapes={name: tuple(tensor.shape) for name, tensor in original.items()},
        original_hash=tensors_hash(original),
        notes=subject.graph.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """What is to be cut, in which order and how."""

    method: Method
    groups: tuple[Group, ...]
    widths: Mapping[str, int]
    space: QuerySpace
    generators: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outcome:
    """The network's tensors after cutting, and what was done."""

    parameters: Parameters
    records: Mapping[str, GroupRecord]
    restored: tuple[Whole, ...] = ()


def _cut_soundly(subject: Subject, plan: _Plan, tell: Progress) -> _Outcome:
    """Cut all groups; where that breaks the model, again one by one, restoring those that do."""
    cuts, outcome = _cut_all(plan.groups, plan, subject.graph.parameters, tell=tell)
    tell("checking", 0, 1)
    if _violation(subject, outcome.parameters, cuts) is None:
        return outcome
    sound: list[Group] = []
    restored: list[Whole] = []
    for done, group in enumerate(plan.groups):
        tell("checking layer by layer", done, len(plan.groups))
        cuts, trial = _cut_all([*sound, group], plan, subject.graph.parameters)
        if reason := _violation(subject, trial.parameters, cuts):
            restored.append(Whole(name=group.name, reason=reason))
        else:
            sound.append(group)
    if not sound:
        listing = "; ".join(f"{entry.name}: {entry.reason}" for entry in restored)
        raise UnsupportedModelError(f"no layer can be cut soundly: {listing}")
    _, outcome = _cut_all(sound, plan, subject.graph.parameters)
    return _Outcome(
        parameters=outcome.parameters, records=outcome.records, restored=tuple(restored)
    )


def _violation(subject: Subject, small: Parameters, cuts: Sequence[Cut]) -> str | None:
    wide = widen(small, subject.graph.parameters, cuts)
    return violation(subject.working, subject.call, small=small, wide=wide)


def _cut_all(
    groups: Sequence[Group], plan: _Plan, parameters: Parameters, *, tell: Progress | None = None
) -> tuple[list[Cut], _Outcome]:
    """Cut the groups one after the other, each seeing the network as the earlier ones left it."""
    cuts = []
    records = {}
    for done, group in enumerate(groups):
        (tell or _silent)("cutting", done, len(groups))
        cut, record = _coreset(group, parameters, plan)
        parameters = shrink(parameters, cut)
        cuts.append(cut)
        records[group.name] = record
    return cuts, _Outcome(parameters=parameters, records=records)


def _coreset(group: Group, parameters: Parameters, plan: _Plan) -> tuple[Cut, GroupRecord]:
    """One group's coreset, shared by all its consumers."""
    layers = [layer_of(group, consumer, parameters) for consumer in group.consumers]
    radius = plan.space.radii[group.name]
    s = _largest(
        sensitivities(
            layer.points,
            layer.weights,
            activation=layer.activation,
            query_radius=radius,
            bias=layer.bias,
        )
        for layer in layers
    )
    subset = select(
        plan.method,
        layers[0].points,
        torch.cat([layer.weights for layer in layers]),
        sensitivities=s,
        num_neurons=plan.widths[group.name],
        generator=Generator().manual_seed(plan.generators[group.name]),
    )
    outputs = [len(layer.weights) for layer in layers]
    cut = Cut(group=group, indices=subset.indices, weights=torch.split(subset.weights, outputs))
    slopes = _largest(
        slope_sensitivities(
            layer.points, layer.weights, activation=layer.activation, query_radius=radius
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
        query_radius=radius,
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


def _generators(groups: Sequence[Group], seed: int) -> dict[str, int]:
    """A seed a group, so that leaving one whole does not change the others' draws."""
    states = np.random.SeedSequence(seed).generate_state(len(groups), np.uint64)
    return {group.name: int(state >> 1) for group, state in zip(groups, states, strict=True)}


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _known(skip: Collection[str], subject: Subject) -> frozenset[str]:
    names = dict(subject.working.named_modules()) | dict(subject.working.named_parameters())
    unknown = sorted(set(skip) - set(names))
    if unknown:
        raise ArgumentError(
            f"skip names {', '.join(unknown)}, which the model does not have; "
            "coreprune.inspect lists its layers"
        )
    return frozenset(skip)


def _nothing_to_cut(subject: Subject, partition: Partition) -> str:
    layers = "; ".join(f"{entry.name}: {entry.reason}" for entry in partition.whole)
    notes = "; ".join(subject.graph.notes)
    export = f" torch.export failed on {notes}." if notes else ""
    return (
        f"model has no layer that can be cut. {layers or 'It has no layer with weights'}.{export} "
        "Only linear layers whose neurons reach other linear layers through element-wise functions "
        "can be cut"
    )


def _check(*, keep: Keep, method: str, order: str, round_to: int, seed: int) -> None:
    check_keep(keep)
    check_method(method)
    if order not in get_args(Order):
        raise ArgumentError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    if not isinstance(round_to, int) or round_to < 1:
        raise ArgumentError(f"round_to must be a whole number of at least 1, got {round_to!r}")
    if not isinstance(seed, int) or seed < 0:
        raise ArgumentError(f"seed must be a whole number of at least 0, got {seed!r}")


def _silent(what: str, done: int, of: int) -> None:
    """No progress is shown."""
