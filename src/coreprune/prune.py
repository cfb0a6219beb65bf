"""The one natural way through: model, graph, groups, moments, path, budget, cut, result."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from torch import Generator, Tensor, nn

from coreprune.allocation import Price
from coreprune.budget import Budget, Keep, check_keep, widths
from coreprune.core.coreset import Method, check_method
from coreprune.core.reconstruction import Path
from coreprune.core.selection.paths import PathMethod, follows_a_path, kept_at, path_of
from coreprune.costs import Cost, byte_cost, flop_cost, neuron_cost, parameter_cost
from coreprune.curve import curve
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
from coreprune.group_coreset import Selection, group_coreset
from coreprune.group_moments import GroupMoments, Run
from coreprune.group_prices import Responses, path_and_price, responses, weighted_readers
from coreprune.measured_error import OutputChange, output_change
from coreprune.progress import Progress, silent
from coreprune.query_calls import Law, drawn
from coreprune.query_law import choose_law
from coreprune.query_space import QuerySpace, query_space
from coreprune.result import GroupRecord, PruneResult, WholeRecord
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.flops import flops
from coreprune.shells.torch_module.lower import tensors_of
from coreprune.shells.torch_module.modules import nonfinite, with_tensors
from coreprune.shells.torch_module.postcondition import violation
from coreprune.shells.torch_module.subject import Subject, prepare

Order = Literal["top_down", "bottom_up"]
MEASURED = 1024
"""Fresh queries on which the outputs of both networks are compared."""


def prune(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    model: nn.Module,
    example_inputs: Any,  # noqa: ANN401
    *,
    keep: Keep,
    method: Method = "optimal",
    order: Order | None = None,
    queries: Law | None = None,
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
        method: "optimal" (least expected error, with optimal weights), "backward" or "forward" (its
            first step alone, or the other greedy order), "priority" (exact width, unbiased),
            "importance" (the paper's; the width is random, `keep` its expectation), "uniform" or
            "magnitude" (comparators).
        order: "top_down" cuts the layers next to the output first, as the paper does; the default
            for methods with a law is "bottom_up", so that later layers see what earlier cuts left.
        queries: The inputs to plan for: a law, of which `Ball`, `Sphere`, `Box` and `Samples` set
            the radii as well. By default radii come from the largest example, and the law from the
            model: moments matched to what batch normalisations remember, else `Impressions` of a
            network whose first layer reads its input as it is, else standard normal inputs.
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
    order = order or ("bottom_up" if follows_a_path(method) else "top_down")
    space = query_space(subject, partition.groups, queries=queries, seed=int(seed))
    choice = choose_law(queries, subject, partition.groups)
    moments = GroupMoments(subject, partition.groups, law=choice.law, seed=int(seed))
    costs = _costs(subject, partition.groups)
    prices = _Prices()
    if follows_a_path(method):
        tell("pricing every size", 0, 1)
        prices = _priced(moments, method)
    plan = _Plan(
        method=method,
        groups=partition.groups if order == "bottom_up" else partition.groups[::-1],
        widths=widths(keep, partition.groups, costs, prices=prices.of, round_to=round_to),
        space=space,
        moments=moments,
        prices=prices,
        seeds=_seeds(partition.groups, int(seed)),
    )
    outcome = _cut_soundly(subject, plan, tell)
    changed = {  # the rest comes from the source: running the copy may have changed its buffers
        name: tensor
        for name, tensor in outcome.parameters.items()
        if tensor is not subject.graph.parameters[name]
    }
    trained = dict(subject.working.named_parameters())
    original = tensors_of(subject.source)
    change = _measured(subject, changed, plan)
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
        law=f"{moments.words()}; {choice.why}" if prices.of else "none: the method needs no law",
        expected_error=_expected(outcome.records.values()),
        measured_error=change.error if change else None,
        output_spread=change.spread if change else None,
        curve=curve(prices.of, costs, kind=_saved(keep), round_to=round_to),
        parameters_before=sum(tensor.numel() for tensor in trained.values()),
        parameters_after=sum(changed.get(name, tensor).numel() for name, tensor in trained.items()),
        original_shapes={name: tuple(tensor.shape) for name, tensor in original.items()},
        original_hash=tensors_hash(original),
        notes=(*subject.graph.notes, *prices.notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prices:
    """What the groups' neurons are worth; empty for methods that do not ask."""

    of: Mapping[str, Price] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    responses: Responses = field(default_factory=lambda: Responses(roots={}))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful user should know."""
        return () if self.responses.note is None else (self.responses.note,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """What is to be cut, in which order and how."""

    method: Method
    groups: tuple[Group, ...]
    widths: Mapping[str, int]
    space: QuerySpace
    moments: GroupMoments
    prices: _Prices
    seeds: Mapping[str, int]


def _priced(moments: GroupMoments, method: PathMethod) -> _Prices:
    """The path and the price of every group in the original network."""
    answer, run = responses(moments), moments.start()
    parameters = moments.subject.graph.parameters
    found = {
        group.name: path_and_price(group, run.views(group, parameters), answer, method=method)
        for group in moments.groups
    }
    return _Prices(
        of={name: price for name, (_, price) in found.items()},
        paths={name: path for name, (path, _) in found.items()},
        responses=answer,
    )


def _costs(subject: Subject, groups: Sequence[Group]) -> dict[str, Cost]:
    """By the names of the budget's targets; what buffers hold costs nothing."""
    trained = dict(subject.working.named_parameters())
    return {
        "parameters": parameter_cost(groups, trained),
        "flops": flop_cost(groups, subject.graph, total=flops(subject.working, subject.call)),
        "bytes": byte_cost(groups, trained),
        "neurons": neuron_cost(groups),
    }


def _saved(keep: Keep) -> str:
    """The cost that the curve descends in."""
    return keep.kind if isinstance(keep, Budget) and keep.kind != "error" else "parameters"


def _expected(records: Iterable[GroupRecord]) -> float | None:
    errors = [record.output_error for record in records]
    known = [error for error in errors if error is not None]
    return math.hypot(*known) if len(known) == len(errors) else None


def _measured(subject: Subject, changed: Mapping[str, Tensor], plan: _Plan) -> OutputChange | None:
    """How far the outputs are apart on queries that chose nothing."""
    moments = plan.moments
    calls = drawn(moments.law, subject, seed=moments.seed + 1, examples=MEASURED)
    return output_change(subject.working, with_tensors(subject.working, changed), calls)


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
    run = plan.moments.start()
    for done, group in enumerate(plan.groups):
        tell("checking layer by layer" if is_sound else "cutting", done, len(plan.groups))
        cut, record = group_coreset(
            group,
            outcome.parameters,
            method=plan.method,
            num_neurons=plan.widths[group.name],
            query_radius=plan.space.radii[group.name],
            selection=_selected(plan, run, group, outcome=outcome),
            generator=Generator().manual_seed(plan.seeds[group.name]),
        )
        trial = _Outcome(
            parameters=shrink(outcome.parameters, cut),
            cuts=(*outcome.cuts, cut),
            records={**outcome.records, group.name: record},
        )
        if is_sound is None or is_sound(group, trial):
            run.cut(group, cut.indices)
            outcome = trial
    return outcome


def _selected(plan: _Plan, run: Run, group: Group, *, outcome: _Outcome) -> Selection | None:
    """The neurons of a group that stay, seen from the network as earlier cuts left it."""
    if not follows_a_path(plan.method):
        return None
    views = run.views(group, outcome.parameters)
    rows = {cut.group.producer.weight: cut.indices for cut in outcome.cuts}
    roots = [
        plan.prices.responses.root(consumer.affine.weight, rows.get(consumer.affine.weight))
        for consumer in group.consumers
    ]
    readers = weighted_readers(views, roots)
    path = plan.prices.paths[group.name] if not outcome.cuts else path_of(plan.method, readers)
    kept = kept_at(plan.method, readers, path, num_neurons=plan.widths[group.name])
    return Selection(kept=kept, views=views, roots=roots)


def _seeds(groups: Sequence[Group], seed: int) -> dict[str, int]:
    """A seed a group, so that leaving one whole does not change the others' draws."""
    states = np.random.SeedSequence(seed).generate_state(len(groups), np.uint64)
    return {group.name: int(state >> 1) for group, state in zip(groups, states, strict=True)}


def _check_queries(queries: object) -> None:
    if queries is not None and not isinstance(queries, Law):
        names = ", ".join(sorted(kind.__name__ for kind in get_args(Law)))
        raise ArgumentError(
            f"queries must be None or one of {names}, got {type(queries).__name__}; "
            "for inputs of your own pass coreprune.Samples(inputs)"
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
