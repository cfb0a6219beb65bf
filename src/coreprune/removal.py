"""Pruning without a loss: what a network does not need goes, and its outputs stay what they are."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from coreprune.core.lossless import Reason
from coreprune.coresets.lossless import lossless_cut, note_of, radii_behind, record_of
from coreprune.cutting import IsSound, Outcome, changed_by, checked
from coreprune.graph.cut import Cut, parts_of, shrink
from coreprune.graph.groups import Group, Merge, Whole
from coreprune.laws.space import input_radii
from coreprune.opening import Model
from coreprune.progress import Progress
from coreprune.proof import chain_of, notes_on, proof_of
from coreprune.prospect import Options, read_groups
from coreprune.records import UNCHANGED, WholeRecord
from coreprune.result import PruneResult
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.sizes.costs import flop_cost
from coreprune.sizes.network_size import before_and_after

NO_LAW = "none: the method needs no law"

NOTHING = "nothing can be removed without a loss: the model is as it was"


def remove(
    model: Model,
    example_inputs: Any,  # noqa: ANN401
    options: Options,
    *,
    tell: Progress,
) -> PruneResult:
    """Remove the neurons that a network does not need; see `coreprune.prune(lossless=True)`.

    Args:
        model: As `coreprune.prune` takes it.
        example_inputs: As `coreprune.prune` takes them.
        options: What the user says; the method is not asked.
        tell: Called as (what, done, of).

    Returns:
        The smaller model, or the same one with a note when it needs everything.

    Raises:
        ArgumentError: When an option breaks its rule.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.
    """
    subject, partition = read_groups(model, example_inputs, options, tell=tell)
    radii = input_radii(subject, partition.groups, queries=options.queries, seed=int(options.seed))
    groups = [group for group in partition.groups if _is_told(group)]
    pass_ = _Removing(groups=groups, radii=radii, tell=tell)
    outcome = checked(subject, groups, pass_.remove_each, tell=tell)
    changed = changed_by(outcome, subject)
    trained, original = subject.trained, subject.original
    records = [
        outcome.records[group.name] for group in partition.groups if group.name in outcome.records
    ]
    notes = [
        note_of(
            record.name,
            pass_.reasons.get(record.name, {}),
            query_radius=math.inf if record.query_radius is None else record.query_radius,
        )
        for record in records
    ]
    tell("certifying", 0, 1)
    chain = chain_of(subject, partition.groups)
    proof = proof_of(
        {**original, **changed},
        chain,
        records=records,
        radius=radii.get(partition.groups[0].producer.weight),
    )
    size, left = before_and_after(
        trained,
        changed,
        groups=partition.groups,
        flops=flop_cost(partition.groups, subject.graph, total=subject.flops()),
        left={record.name: record.neurons_after for record in records},
    )
    return PruneResult(
        model=subject.finished(changed),
        groups=tuple(records),
        whole=tuple(
            WholeRecord(name=entry.name, reason=entry.reason)
            for entry in (*partition.whole, *outcome.restored, *_untold(partition.groups))
        ),
        method="lossless",
        order="bottom_up",
        seed=int(options.seed),
        query_space=_words(radii),
        law=NO_LAW,
        expected_error=None,
        measured_error=None,
        output_spread=None,
        certificate=proof.certificate,
        certificate_radius=proof.radius,
        certificate_scope=proof.scope,
        repair=None,
        curve=(),
        parameters_before=size.parameters,
        parameters_after=left.parameters,
        bytes_before=size.bytes,
        bytes_after=left.bytes,
        flops_before=size.flops,
        flops_after=left.flops,
        original_shapes={name: tuple(tensor.shape) for name, tensor in original.items()},
        original_hash=tensors_hash(original),
        notes=(
            *subject.graph.notes,
            *notes,
            *notes_on(proof, chain),
            *([] if outcome.cuts else [UNCHANGED, NOTHING]),
        ),
        example=subject.call,
    )


def _is_told(group: Group) -> bool:
    """Whether equal sums before what lies between a group and its readers are equal behind it."""
    return all(consumer.is_homogeneous for consumer in group.consumers)


def _untold(groups: Sequence[Group]) -> Iterator[Whole]:
    for group in groups:
        if not _is_told(group):
            passed = [one for consumer in group.consumers for one in consumer.passengers]
            merges = any(isinstance(one, Merge) for one in passed)
            what = "product or a sum of its neurons" if merges else "maximum or a kernel of its own"
            yield Whole(name=group.name, reason=f"a {what} lies between it and its readers")


def _words(radii: Mapping[str, float]) -> str:
    if not radii:
        return "all inputs: no layer that can be cut reads the network's input as it is"
    return f"inputs of norm at most {max(radii.values()):.4g}"


@dataclass(slots=True, kw_only=True, eq=False)
class _Removing:
    """Passes over the groups until nothing more goes.

    Attributes:
        groups: In order of execution.
        radii: Of the inputs of the layers that read the network's input, by their weights.
        tell: Called as (what, done, of).
        reasons: Why neurons went, by group and index in the original.
    """

    groups: Sequence[Group]
    radii: Mapping[str, float]
    tell: Progress
    reasons: dict[str, dict[int, Reason]] = field(default_factory=dict)

    def remove_each(self, outcome: Outcome, is_sound: IsSound | None) -> Outcome:
        """Remove from group after group, and again: what only removed neurons read goes next.

        A group for which that is not sound stays as it was.
        """
        self.reasons = {}
        refused: set[str] = set()
        while True:
            before = len(refused), sum(len(reasons) for reasons in self.reasons.values())
            outcome = self._pass(outcome, is_sound, refused)
            if before == (len(refused), sum(len(reasons) for reasons in self.reasons.values())):
                return outcome

    def _pass(self, outcome: Outcome, is_sound: IsSound | None, refused: set[str]) -> Outcome:
        radii = dict(self.radii)
        for done, group in enumerate(self.groups):
            self.tell("removing", done, len(self.groups))
            radius = radii.get(group.producer.weight, math.inf)
            present = _present(group, outcome)
            now = replace(group, neurons=len(present))
            parts = parts_of(group, outcome.parameters, outcome.cuts)
            cut, removal = lossless_cut(now, parts, query_radius=radius)
            kept = present[cut.indices.cpu()]
            trial = outcome
            if removal.reasons and group.name not in refused:
                trial = _after(outcome, group, cut, kept=kept)
                if is_sound is not None and not is_sound(group, trial):
                    refused.add(group.name)
                    trial = outcome
            if trial is not outcome:
                own = self.reasons.setdefault(group.name, {})
                own |= {int(present[j]): reason for j, reason in removal.reasons.items()}
            if group.name not in refused:
                record = record_of(group, kept, query_radius=radius)
                trial = replace(trial, records={**trial.records, group.name: record})
            outcome = trial
            if group.is_alone:
                radii |= radii_behind(
                    replace(group, neurons=len(_present(group, outcome))),
                    outcome.parameters,
                    query_radius=radius,
                )
        return outcome


def _present(group: Group, outcome: Outcome) -> Tensor:
    """The neurons of a group that are left, by their indices in the original. Shape (m,)."""
    record = outcome.records.get(group.name)
    return torch.arange(group.neurons) if record is None else torch.tensor(record.kept)


def _after(outcome: Outcome, group: Group, cut: Cut, *, kept: Tensor) -> Outcome:
    """The outcome after one more cut of a group, all cuts of which count as one."""
    earlier = [one for one in outcome.cuts if one.group is group]
    names = {name for one in (*earlier, cut) for name in one.shifts}
    whole = Cut(
        group=group,
        indices=kept,
        weights=cut.weights,
        # Of earlier shifts rows may have gone since: what stands there now is in the parameters.
        shifts={name: cut.shifts.get(name, torch.zeros(())) for name in names},
    )
    others = [one for one in outcome.cuts if one.group is not group]
    return replace(
        outcome, parameters=shrink(outcome.parameters, cut, outcome.cuts), cuts=(*others, whole)
    )
