"""The one natural way through: model, graph, groups, budget, cut, postcondition, result."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from torch import Generator, nn

from coreprune.budget import Keep, check_keep, widths
from coreprune.core.coreset import Method, check_method
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.cut import Cut, columns_of, shrink, widen
from coreprune.graph.groups import (
    RIDES_WITH_NONE,
    Group,
    Partition,
    Whole,
    find_groups,
    passengers_of,
)
from coreprune.graph.ir import Parameters
from coreprune.group_coreset import group_coreset
from coreprune.group_moments import GroupMoments, law_of
from coreprune.progress import Progress, silent
from coreprune.queries.ball import Ball
from coreprune.queries.gaussian import Gaussian
from coreprune.query_space import QuerySpace, query_space
from coreprune.result import GroupRecord, PruneResult, WholeRecord
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.lower import tensors_of
from coreprune.shells.torch_module.modules import nonfinite, with_tensors
from coreprune.shells.torch_module.postcondition import violation
from coreprune.shells.torch_module.subject import Subject, prepare

Order = Literal["top_down", "bottom_up"]


def prune(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    model: nn.Module,
    example_inputs: Any,  # noqa: ANN401
    *,
    keep: Keep,
    method: Method = "optimal",
    order: Order | None = None,
    queries: Ball | Gaussian | None = None,
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
        method: "optimal" (least expected error, with optimal weights), "priority" (exact width,
            unbiased), "importance" (the paper's; the width is random, `keep` its expectation),
            "uniform" or "magnitude" (comparators).
        order: "top_down" cuts the layers next to the output first, as the paper does; the default
            for "optimal" is "bottom_up", so that later layers see what earlier cuts left.
        queries: The inputs to plan for. A `Ball` sets the radii and the law of its sphere; a
            `Gaussian` the law alone. By default radii come from the largest example, and the law
            is the standard normal one, with moments matched to the statistics that batch
            normalisations have kept.
        round_to: Widths become multiples of this where the method's width is exact and as many
            neurons are alive on the ball.
        skip: Names of layers whose neurons all stay, or of modules that hold such layers.
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
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> result = prune(net, torch.randn(2, 8), keep=0.25)
        >>> result.model[0], net[0].out_features
        (Linear(in_features=8, out_features=25, bias=True), 100)

    References:
        Mussay, Osadchy, Braverman, Zhou, Feldman 2020, "Data-Independent Neural Pruning via
        Coresets".
    """
    _check(keep=keep, method=method, order=order, round_to=round_to, seed=seed)
    _check_queries(queries)
    tell = progress or silent
    tell("reading the model", 0, 1)
    subject = prepare(
        model, example_inputs, example_kwargs=example_kwargs, dynamic_shapes=dynamic_shapes
    )
    _check_values(subject)
    partition = find_groups(subject.graph, skip=skip)
    if not partition.groups:
        raise UnsupportedModelError(_nothing_to_cut(subject, partition))
    trained = dict(subject.working.named_parameters())
    order = order or ("bottom_up" if method == "optimal" else "top_down")
    law = law_of(queries, subject)
    plan = _Plan(
        method=method,
        groups=partition.groups if order == "bottom_up" else partition.groups[::-1],
        widths=widths(keep, partition.groups, trained, round_to=round_to),
        space=query_space(
            subject,
            partition.groups,
            queries=queries if isinstance(queries, Ball) else None,
            seed=int(seed),
        ),
        moments=GroupMoments(subject, partition.groups, law=law, seed=int(seed)),
        seeds=_seeds(partition.groups, int(seed)),
    )
    outcome = _cut_soundly(subject, plan, tell)
    original = tensors_of(subject.source)
    changed = {  # the rest comes from the source: running the copy may have changed its buffers
        name: tensor
        for name, tensor in outcome.parameters.items()
        if tensor is not subject.graph.parameters[name]
    }
    return PruneResult(
        model=with_tensors(subject.source, changed),
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
        seed=int(seed),
        query_space=plan.space.words,
        law=plan.moments.words() if method == "optimal" else "none: the method needs no law",
        parameters_before=sum(tensor.numel() for tensor in trained.values()),
        parameters_after=sum(changed.get(name, tensor).numel() for name, tensor in trained.items()),
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
    moments: GroupMoments
    seeds: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outcome:
    """The network's tensors after some cuts, and what was done."""

    parameters: Parameters
    cuts: tuple[Cut, ...] = ()
    records: Mapping[str, GroupRecord] = field(default_factory=dict)
    restored: tuple[Whole, ...] = ()


def _cut_soundly(subject: Subject, plan: _Plan, tell: Progress) -> _Outcome:
    """Cut all groups; where that breaks the model, again one by one, restoring those that do.

    Raises:
        UnsupportedModelError: When every group breaks it.
    """
    outcome = _cut_each(plan, _Outcome(parameters=subject.graph.parameters), tell=tell)
    tell("checking", 0, 1)
    if _violation(subject, outcome) is None:
        return outcome
    restored: list[Whole] = []

    def is_sound(group: Group, trial: _Outcome) -> bool:
        reason = _violation(subject, trial)
        restored.extend([Whole(name=group.name, reason=reason)] if reason else [])
        return reason is None

    start = _Outcome(parameters=subject.graph.parameters)
    outcome = _cut_each(plan, start, tell=tell, is_sound=is_sound)
    if not outcome.cuts:
        listing = "; ".join(f"{entry.name}: {entry.reason}" for entry in restored)
        raise UnsupportedModelError(f"no layer can be cut soundly: {listing}")
    names = {entry.name for entry in restored}
    restored += [
        Whole(name=passenger, reason=RIDES_WITH_NONE)
        for group in plan.groups
        if group.name in names
        for passenger in passengers_of(group)
    ]
    return replace(outcome, restored=tuple(restored))


def _violation(subject: Subject, outcome: _Outcome) -> str | None:
    for name in {name for cut in outcome.cuts for name in columns_of(cut.group)}:
        if not outcome.parameters[name].isfinite().all():
            return f"the new weights of its readers overflow {outcome.parameters[name].dtype}"
    return violation(
        subject.working,
        subject.call,
        small=outcome.parameters,
        wide=widen(outcome.parameters, subject.graph.parameters, outcome.cuts),
        columns={name for cut in outcome.cuts for name in columns_of(cut.group)},
    )


def _cut_each(
    plan: _Plan,
    outcome: _Outcome,
    *,
    tell: Progress,
    is_sound: Callable[[Group, _Outcome], bool] | None = None,
) -> _Outcome:
    """Cut the groups one after the other, each seeing the network as the earlier ones left it.

    A group whose cut is not sound stays as it was.
    """
    moments = plan.moments.start()
    for done, group in enumerate(plan.groups):
        tell("checking layer by layer" if is_sound else "cutting", done, len(plan.groups))
        cut, record = group_coreset(
            group,
            outcome.parameters,
            method=plan.method,
            num_neurons=plan.widths[group.name],
            query_radius=plan.space.radii[group.name],
            moments=moments.of(group, outcome.parameters) if plan.method == "optimal" else (),
            generator=Generator().manual_seed(plan.seeds[group.name]),
        )
        trial = _Outcome(
            parameters=shrink(outcome.parameters, cut),
            cuts=(*outcome.cuts, cut),
            records={**outcome.records, group.name: record},
        )
        if is_sound is None or is_sound(group, trial):
            moments.cut(group, cut.indices)
            outcome = trial
    return outcome


def _seeds(groups: Sequence[Group], seed: int) -> dict[str, int]:
    """A seed a group, so that leaving one whole does not change the others' draws."""
    states = np.random.SeedSequence(seed).generate_state(len(groups), np.uint64)
    return {group.name: int(state >> 1) for group, state in zip(groups, states, strict=True)}


def _check_queries(queries: object) -> None:
    if queries is not None and not isinstance(queries, Ball | Gaussian):
        raise ArgumentError(
            f"queries must be a coreprune.Ball, a coreprune.Gaussian or None, got {queries!r}"
        )


def _check_values(subject: Subject) -> None:
    empty = [name for name, tensor in subject.graph.parameters.items() if tensor.is_meta]
    if empty:
        raise UnsupportedModelError(
            f"model has no values in {', '.join(empty)} (meta device); load its weights first"
        )
    if strange := nonfinite(subject.working):
        raise UnsupportedModelError(
            f"model has NaN or infinite entries in {', '.join(strange)}; restore a sound checkpoint"
        )


def _nothing_to_cut(subject: Subject, partition: Partition) -> str:
    layers = "; ".join(f"{entry.name}: {entry.reason}" for entry in partition.whole)
    notes = "; ".join(subject.graph.notes)
    export = f" torch.export failed on {notes}." if notes else ""
    return (
        f"model has no layer that can be cut. {layers or 'It has no layer with weights'}.{export} "
        "Only linear layers whose neurons reach other linear layers through element-wise functions "
        "can be cut"
    )


def _check(*, keep: Keep, method: str, order: str | None, round_to: object, seed: object) -> None:
    check_keep(keep)
    check_method(method)
    if order is not None and order not in get_args(Order):
        raise ArgumentError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    if not isinstance(round_to, int | np.integer) or round_to < 1:
        raise ArgumentError(f"round_to must be a whole number of at least 1, got {round_to!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"seed must be a whole number of at least 0, got {seed!r}")
