"""The one natural way through: model, graph, groups, moments, path, budget, cut, result."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from coreprune.budget import SIZES, Budget, Keep, check_keep, widths
from coreprune.certificates.network import NetworkChain
from coreprune.certificates.of_cut import no_certificate
from coreprune.certified_budget import cut_within
from coreprune.core.coreset import Method
from coreprune.core.selection.paths import follows_a_path
from coreprune.cutting import Outcome, Plan, changed_by, cut_soundly
from coreprune.error_budget import NEAR, cut_to_error
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters
from coreprune.laws.calls import Law, drawn
from coreprune.measured_error import OutputChange, output_change
from coreprune.opening import Model
from coreprune.progress import Progress, silent
from coreprune.proof import Proof, chain_of, notes_on, proof_of
from coreprune.prospect import Options, Prospect, survey
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.impressions import Impressions
from coreprune.records import UNCHANGED, GroupRecord, WholeRecord
from coreprune.removal import NO_LAW, remove
from coreprune.repair import Repair
from coreprune.repairing import notes_on_change, notes_on_repair, record_of, repaired_of
from coreprune.result import PruneResult
from coreprune.shells.calls import Call
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.tensors import tensors_of
from coreprune.sizes.curve import price_curve
from coreprune.sizes.network_size import before_and_after

Order = Literal["top_down", "bottom_up"]

_DEAR = (BatchNormMatched, Impressions)
"""Laws whose queries take long to make."""

MEASURED = 1024
"""Queries on which the outputs of both networks are compared: fresh ones where a law draws them."""


def prune(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    model: Model,
    example_inputs: Any = None,  # noqa: ANN401
    *,
    keep: Keep | None = None,
    lossless: bool = False,
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
        model: A module, or the path of an .onnx file; neither it nor its weights are touched.
        example_inputs: One tensor, or a tuple of positional arguments, that runs through the model.
            Its size and signs set the radii and the scale of the default law; `Ball`, `Sphere`,
            `Box` and `Samples` replace that. Of a file also a mapping by names; left out, inputs
            are drawn by the shapes that it declares.
        keep: A share of neurons in (0, 1], a mapping from layer name to share (layers that it does
            not name stay whole), or a `Budget`.
        lossless: Instead of `keep`: remove what outputs do not depend on for inputs no larger than
            `queries` or the examples (neurons that never change, are read by nothing, or are told
            by others) and leave the rest. `method` is not asked; order, `round_to` and `repair`
            must be left out.
        method: "optimal" (least expected error, with optimal weights), "backward" or "forward" (its
            first step alone, or the other greedy order), "priority" (exact width, unbiased),
            "importance" (the paper's; the width is random, `keep` its expectation), "uniform" or
            "magnitude" (comparators).
        order: "top_down" cuts the layers next to the output first, as the paper does; the default
            for methods with a law is "bottom_up", so that later layers see what earlier cuts left.
        queries: The inputs to plan for: a law, of which `Ball`, `Sphere`, `Box` and `Samples` set
            the radii as well. By default radii come from the largest example, and the law from the
            model: what batch normalisations remember (in closed form, or as `BatchNormMatched`
            where inputs are images), else `Impressions` of a network whose first layer reads its
            input as it is, else `DeadLeaves` for images, else standard normal inputs.
        round_to: Widths become multiples of this where the method's width is exact and as many
            neurons are alive on the ball.
        skip: Names of layers whose neurons all stay, or of modules that hold such layers.
        example_kwargs: Keyword arguments of the forward pass.
        dynamic_shapes: Passed to `torch.export.export`.
        repair: How long to train the pruned network on queries with the original as its teacher;
            None leaves it as it is. Queries are of the law, but impressions take no steps here.
            Needs the extra `train`.
        seed: Fixes every random choice.
        progress: Called as (what, done, of).

    Returns:
        The smaller model with a record of every group and of every layer left whole.

    Raises:
        ArgumentError: When an argument breaks its rule.
        FileFormatError: When a file is missing or damaged.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> result = prune(net, torch.randn(2, 8), keep=0.25)
        >>> result.model[0], net[0].out_features
        (Linear(in_features=8, out_features=25, bias=True), 100)

    References:
        Mussay, Osadchy, Braverman, Zhou, Feldman 2020, "Data-Independent Neural Pruning via
        Coresets".
    """
    _check(keep, lossless=lossless, order=order, repair=repair)
    _check_kind(model, repair=repair)
    if lossless and (order is not None or repair is not None or round_to != 1):
        raise ArgumentError(
            "lossless=True must be given without order, round_to and repair, since what it removes "
            "outputs do not depend on; leave them out, or pass keep=0.5 in its place"
        )
    tell = progress or silent
    options = Options(
        method=method,
        queries=queries,
        round_to=round_to,
        skip=skip,
        example_kwargs=example_kwargs,
        dynamic_shapes=dynamic_shapes,
        seed=seed,
    )
    if keep is None:
        return remove(model, example_inputs, options, tell=tell)
    prospect = survey(model, example_inputs, options, tell=tell)
    _check_units(keep, prospect)
    subject, groups = prospect.subject, prospect.partition.groups
    order = order or ("bottom_up" if follows_a_path(method) else "top_down")
    prices = prospect.prices.prices
    plan = _whole_plan(prospect, method=method, order=order, seed=int(seed))
    chain = chain_of(subject, groups)
    outcome, proof = _cut(keep, prospect, plan=plan, chain=chain, round_to=round_to, tell=tell)
    trained, original = subject.trained, subject.original
    cut = changed = changed_by(outcome, subject)
    repaired = None
    if repair is not None:
        repaired = repaired_of(prospect, outcome, settings=repair, tell=tell)
        changed = tensors_of(repaired.model)
    before = change = None
    if prices or repaired is not None:
        before, change = _measured(prospect, (cut, changed), seed=int(seed) + 1, tell=tell)
    if proof is None:
        tell("certifying", 0, 1)
        proof = proof_of(
            {**original, **changed},
            chain,
            records=outcome.records.values(),
            radius=plan.space.radii[groups[0].name],
        )
    size, left = before_and_after(
        trained,
        changed,
        groups=groups,
        flops=prospect.costs["flops"],
        left={name: record.neurons_after for name, record in outcome.records.items()},
    )
    return PruneResult(
        model=subject.finished(changed),
        groups=tuple(
            outcome.records[group.name] for group in groups if group.name in outcome.records
        ),
        whole=tuple(
            WholeRecord(name=entry.name, reason=entry.reason)
            for entry in (*prospect.partition.whole, *outcome.restored)
        ),
        method=method,
        order=order,
        seed=int(seed),
        query_space=plan.space.words,
        law=prospect.words if change is not None or prices else NO_LAW,
        expected_error=_expected(outcome.records.values(), prospect),
        measured_error=change.error if change else None,
        output_spread=change.spread if change else None,
        certificate=proof.certificate,
        certificate_radius=proof.radius,
        certificate_scope=proof.scope,
        repair=None if repaired is None else record_of(repaired),
        curve=price_curve(prices, prospect.costs, kind=_saved(keep), round_to=round_to),
        parameters_before=size.parameters,
        parameters_after=left.parameters,
        bytes_before=size.bytes,
        bytes_after=left.bytes,
        flops_before=size.flops,
        flops_after=left.flops,
        original_shapes={name: tuple(tensor.shape) for name, tensor in original.items()},
        original_hash=tensors_hash(original),
        notes=(
            *_unchanged(original, changed),
            *prospect.notes,
            *_reached(keep, prospect, outcome.records),
            *_missed(keep, change),
            *notes_on(proof, chain),
            *notes_on_repair(repaired, repair),
            *notes_on_change(before, change),
            *(
                f"{group.name}: no certificate: {reason}"
                for group in groups
                if group.name in outcome.records
                and (reason := no_certificate(group, subject.graph.parameters)) is not None
            ),
        ),
        example=subject.call,
    )


def _unchanged(original: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> list[str]:
    """That nothing was removed, where no bit of what was cut is another."""
    before = {name: original[name] for name in changed if name in original}
    same = tensors_hash(before) == tensors_hash(changed)
    return [UNCHANGED] if same else []


def _whole_plan(prospect: Prospect, *, method: Method, order: str, seed: int) -> Plan:
    """How every group is to be cut, save for its width: all neurons stay."""
    groups = prospect.partition.groups
    return Plan(
        method=method,
        groups=groups if order == "bottom_up" else groups[::-1],
        widths={group.name: group.neurons for group in groups},
        space=prospect.space,
        moments=prospect.moments,
        prices=prospect.prices,
        seeds=_seeds(groups, seed),
    )


def _cut(
    keep: Keep,
    prospect: Prospect,
    *,
    plan: Plan,
    chain: NetworkChain | str,
    round_to: int,
    tell: Progress,
) -> tuple[Outcome, Proof | None]:
    """Cut to widths that are known, or to those that a proof allows."""
    if isinstance(keep, Budget) and keep.kind == "certified":
        found = cut_within(keep, prospect, plan=plan, chain=chain, round_to=round_to, tell=tell)
        return found.outcome, found.proof
    if isinstance(keep, Budget) and keep.kind == "error":
        return _cut_to_error(keep, prospect, plan=plan, round_to=round_to, tell=tell), None
    return _cut_once(keep, prospect, plan=plan, round_to=round_to, tell=tell), None


def _cut_once(
    keep: Keep, prospect: Prospect, *, plan: Plan, round_to: int, tell: Progress
) -> Outcome:
    chosen = widths(
        keep,
        prospect.partition.groups,
        prospect.costs,
        prices=prospect.prices.prices,
        round_to=round_to,
    )
    return cut_soundly(prospect.subject, replace(plan, widths=chosen), tell)


def _cut_to_error(
    budget: Budget, prospect: Prospect, *, plan: Plan, round_to: int, tell: Progress
) -> Outcome:
    """Cut until the measured error is near the target, on queries that nothing else sees."""

    def measured(outcome: Outcome) -> float | None:
        changed = changed_by(outcome, prospect.subject)
        change, _ = _measured(prospect, (changed, changed), seed=plan_seed, tell=tell)
        return None if change is None else change.error

    def cut(planned: Budget) -> Outcome:
        return _cut_once(planned, prospect, plan=plan, round_to=round_to, tell=tell)

    if isinstance(prospect.moments.law, _DEAR):
        return cut(budget)
    plan_seed = max(plan.seeds.values())
    return cut_to_error(budget, cut=cut, measured=measured)


def _saved(keep: Keep) -> str:
    """The cost that the curve descends in."""
    return keep.kind if isinstance(keep, Budget) and keep.kind in SIZES else "parameters"


def _reached(keep: Keep, prospect: Prospect, records: Mapping[str, GroupRecord]) -> Iterator[str]:
    """What a budget came to where the record does not count it anyway."""
    if isinstance(keep, Budget) and keep.kind in SIZES and keep.kind != "parameters":
        cost = prospect.costs[keep.kind]
        before = {group.name: group.neurons for group in prospect.partition.groups}
        after = before | {name: record.neurons_after for name, record in records.items()}
        yield f"{cost.of(after) / cost.of(before):.1%} of the original's {keep.kind} are left"


def _missed(keep: Keep, change: OutputChange | None) -> Iterator[str]:
    """That the measured error exceeds the one that was asked for by more than its noise."""
    if not isinstance(keep, Budget) or keep.kind != "error" or change is None:
        return
    if not change.error <= keep.target * NEAR:
        yield (
            f"asked was an error of at most {keep.target:.4g}; measured on fresh queries is "
            f"{change.error:.4g}, since errors are planned to first order; ask for less"
        )


def _check(keep: Keep | None, *, lossless: bool, order: str | None, repair: object) -> None:
    """Refuse what cannot be meant.

    Raises:
        ArgumentError: Naming the argument, the rule, the value and the way out.
    """
    if (keep is None) != bool(lossless):
        raise ArgumentError(
            f"exactly one of keep and lossless must be given, got keep={keep!r} and "
            f"lossless={lossless!r}; pass keep=0.5 to drop half of the neurons, or lossless=True"
        )
    if keep is not None:
        check_keep(keep)
    if order is not None and order not in get_args(Order):
        raise ArgumentError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    if repair is not None and not isinstance(repair, Repair):
        raise ArgumentError(
            f"repair must be coreprune.Repair(...), got {repair!r}; pass Repair(seconds=60)"
        )
    if repair is not None and isinstance(keep, Budget) and keep.kind == "certified":
        raise ArgumentError(
            f"{keep} speaks of the network as it is cut and cannot be given with repair, which "
            "changes it; prune without, call coreprune.repair on the result, and "
            "coreprune.certify for what is proven then"
        )


def _check_kind(model: Model, *, repair: object) -> None:
    """Refuse what only modules can have.

    Raises:
        ArgumentError: With the way out.
    """
    if repair is not None and isinstance(model, str | Path):
        raise ArgumentError(
            "repair needs derivatives by weights, which a file does not give; prune the module "
            "that it was exported from, or leave repair out and pass queries of your own"
        )


def _check_units(keep: Keep, prospect: Prospect) -> None:
    """Refuse a budget in the outputs' units where errors are not in them.

    Raises:
        ArgumentError: With the way out.
    """
    if isinstance(keep, Budget) and keep.kind == "error" and prospect.prices.responses.note:
        raise ArgumentError(
            f"{keep} needs outputs that have derivatives by the layers that are cut; "
            "name a size, as Budget(parameters=0.5)"
        )


def _expected(records: Iterable[GroupRecord], prospect: Prospect) -> float | None:
    """What the outputs change by, None where errors are not in their units."""
    if prospect.prices.responses.note:
        return None
    errors = [record.output_error for record in records]
    known = [error for error in errors if error is not None]
    return math.hypot(*known) if len(known) == len(errors) else None


def _measured(
    prospect: Prospect, pair: tuple[Parameters, Parameters], *, seed: int, tell: Progress
) -> tuple[OutputChange | None, OutputChange | None]:
    """How far the outputs are off as it was cut, and as it is given back: the same unrepaired."""
    tell("measuring", 0, 1)
    subject, (cut, final) = prospect.subject, pair
    calls = list(_fresh(prospect, seed=seed, tell=tell))
    after = output_change(subject, subject.with_tensors(final), calls)
    if final is cut:
        return after, after
    return output_change(subject, subject.with_tensors(cut), calls), after


def _fresh(prospect: Prospect, *, seed: int, tell: Progress) -> Iterator[Call]:
    """Queries that chose nothing, save for samples; of those that are dear to make one batch."""
    law = prospect.moments.law
    examples = 1 if isinstance(law, _DEAR) else MEASURED
    return drawn(law, prospect.subject, seed=seed, examples=examples, tell=tell)


def _seeds(groups: Sequence[Group], seed: int) -> dict[str, int]:
    """A seed a group, so that leaving one whole does not change the others' draws."""
    states = np.random.SeedSequence(seed).generate_state(len(groups), np.uint64)
    return {group.name: int(state >> 1) for group, state in zip(groups, states, strict=True)}
