"""The one natural way through: model, graph, groups, moments, path, budget, cut, result."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from coreprune.budget import SIZES, Budget, Keep, widths
from coreprune.certificates.network import NetworkChain
from coreprune.certificates.of_cut import no_certificate
from coreprune.certified_budget import cut_within
from coreprune.core.coreset import Method
from coreprune.core.selection.paths import follows_a_path
from coreprune.cut_notes import lost, missed, reached, unchanged
from coreprune.cutting import Outcome, Plan, changed_by, cut_soundly
from coreprune.error_budget import cut_to_error
from coreprune.errors import ArgumentError
from coreprune.fresh_calls import draw_fresh
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters
from coreprune.laws.calls import Law
from coreprune.measured_error import OutputChange, output_change
from coreprune.opening import Model
from coreprune.progress import Progress, silent
from coreprune.proof import Proof, chain_of, notes_on, proof_of
from coreprune.prospect import Options, Prospect, survey
from coreprune.prune_arguments import Order, check_arguments, check_kind, check_units
from coreprune.records import GroupRecord, WholeRecord
from coreprune.removal import NO_LAW, remove
from coreprune.repair import Repair
from coreprune.repairing import notes_on_change, notes_on_repair, record_of, repaired_of
from coreprune.result import PruneResult
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.tensors import tensors_of
from coreprune.sizes.curve import price_curve
from coreprune.sizes.network_size import before_and_after


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
    check_arguments(keep, lossless=lossless, order=order, repair=repair)
    check_kind(model, repair=repair)
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
    check_units(keep, prospect)
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
            *unchanged(original, changed),
            *prospect.notes,
            *reached(keep, prospect, outcome.records),
            *missed(keep, change),
            *lost(change),
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
    """Cut to widths that are known, or to those that a proof or the measured error allows."""

    def once(wanted: Keep) -> Outcome:
        chosen = widths(
            wanted,
            prospect.partition.groups,
            prospect.costs,
            prices=prospect.prices.prices,
            round_to=round_to,
        )
        return cut_soundly(prospect.subject, replace(plan, widths=chosen), tell)

    if isinstance(keep, Budget) and keep.kind == "certified":
        found = cut_within(keep, prospect, plan=plan, chain=chain, round_to=round_to, tell=tell)
        return found.outcome, found.proof
    if isinstance(keep, Budget) and keep.kind == "error":
        seed = max(plan.seeds.values())
        return cut_to_error(keep, prospect, cut=once, seed=seed, tell=tell), None
    return once(keep), None


def _saved(keep: Keep) -> str:
    """The cost that the curve descends in."""
    return keep.kind if isinstance(keep, Budget) and keep.kind in SIZES else "parameters"


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
    calls = list(draw_fresh(prospect, seed=seed, tell=tell))
    after = output_change(subject, subject.with_tensors(final), calls)
    if final is cut:
        return after, after
    return output_change(subject, subject.with_tensors(cut), calls), after


def _seeds(groups: Sequence[Group], seed: int) -> dict[str, int]:
    """A seed a group, so that leaving one whole does not change the others' draws."""
    states = np.random.SeedSequence(seed).generate_state(len(groups), np.uint64)
    return {group.name: int(state >> 1) for group, state in zip(groups, states, strict=True)}
