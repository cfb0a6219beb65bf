"""The one natural way through: model, graph, groups, moments, path, budget, cut, result."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from torch import nn

from coreprune.budget import Budget, Keep, check_keep, widths
from coreprune.core.coreset import Method, check_method
from coreprune.core.selection.paths import follows_a_path
from coreprune.costs import Cost, byte_cost, flop_cost, neuron_cost, parameter_cost
from coreprune.curve import curve
from coreprune.cutting import Plan, cut_soundly
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.groups import Group, Partition, find_groups
from coreprune.group_moments import GroupMoments
from coreprune.group_prices import PriceList, price_list
from coreprune.measured_error import output_change
from coreprune.progress import Progress, silent
from coreprune.query_calls import Law, calls_of, drawn
from coreprune.query_law import choose_law
from coreprune.query_space import query_space
from coreprune.repair import Repair, Repaired
from coreprune.repair import repair as teach
from coreprune.result import GroupRecord, PruneResult, RepairRecord, WholeRecord
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.flops import flops
from coreprune.shells.torch_module.lower import tensors_of
from coreprune.shells.torch_module.modules import copied, nonfinite, with_tensors
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
    repair: Repair | None = None,
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
        repair: How long to train the pruned network on queries with the original as its teacher;
            None leaves it as it is. Needs the extra `train`.
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
    partition = _partition(subject, skip)
    order = order or ("bottom_up" if follows_a_path(method) else "top_down")
    choice = choose_law(queries, subject, partition.groups)
    space = query_space(subject, partition.groups, queries=queries, seed=int(seed))
    moments = GroupMoments(subject, partition.groups, law=choice.law, seed=int(seed))
    costs = _costs(subject, partition.groups)
    prices = PriceList()
    if follows_a_path(method):
        tell("pricing every size", 0, 1)
        prices = price_list(moments, method)
    plan = Plan(
        method=method,
        groups=partition.groups if order == "bottom_up" else partition.groups[::-1],
        widths=widths(keep, partition.groups, costs, prices=prices.prices, round_to=round_to),
        space=space,
        moments=moments,
        prices=prices,
        seeds=_seeds(partition.groups, int(seed)),
    )
    outcome = cut_soundly(subject, plan, tell)
    changed = {  # the rest comes from the source: running the copy may have changed its buffers
        name: tensor
        for name, tensor in outcome.parameters.items()
        if tensor is not subject.graph.parameters[name]
    }
    trained = dict(subject.working.named_parameters())
    original = tensors_of(subject.source)
    small = with_tensors(subject.source, changed)
    repaired = None
    if repair is not None:
        repaired = _repaired(subject, small, moments=moments, settings=repair, tell=tell)
        small = repaired.model
    fresh = drawn(moments.law, subject, seed=int(seed) + 1, examples=MEASURED)
    change = output_change(subject.working, copied(small).eval(), fresh)
    return PruneResult(
        model=small,
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
        law=f"{moments.words()}; {choice.why}"
        if prices.prices
        else "none: the method needs no law",
        expected_error=_expected(outcome.records.values()),
        measured_error=change.error if change else None,
        output_spread=change.spread if change else None,
        repair=None if repaired is None else _record_of(repaired),
        curve=curve(prices.prices, costs, kind=_saved(keep), round_to=round_to),
        parameters_before=sum(tensor.numel() for tensor in trained.values()),
        parameters_after=sum(changed.get(name, tensor).numel() for name, tensor in trained.items()),
        original_shapes={name: tuple(tensor.shape) for name, tensor in original.items()},
        original_hash=tensors_hash(original),
        notes=(*subject.graph.notes, *_told(prices.responses.note)),
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


def _repaired(
    subject: Subject, small: nn.Module, *, moments: GroupMoments, settings: Repair, tell: Progress
) -> Repaired:
    """The pruned network, taught by the original on queries that chose nothing."""
    calls = calls_of(moments.law, subject, seed=moments.seed + 2, endless=True)
    return teach(subject.source, small, calls, settings=settings, progress=tell)


def _record_of(repaired: Repaired) -> RepairRecord:
    return RepairRecord(
        steps=repaired.steps,
        best_step=repaired.best_step,
        seconds=repaired.seconds,
        loss_before=repaired.loss_before,
        loss_after=repaired.loss_after,
        stopped=repaired.stopped,
    )


def _told(note: str | None) -> tuple[str, ...]:
    return () if note is None else (note,)


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


def _partition(subject: Subject, skip: Collection[str]) -> Partition:
    """The groups of a model with sound values.

    Raises:
        UnsupportedModelError: When there is none, or values are missing or not finite.
    """
    _check_values(subject)
    partition = find_groups(subject.graph, skip=skip)
    if not partition.groups:
        raise UnsupportedModelError(_nothing_to_cut(subject, partition))
    return partition


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
