"""Cut every group for which the model stays sound, and restore those for which it does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Generator, Tensor

from coreprune.certificates.of_cut import certificate_of
from coreprune.core.coreset import Method
from coreprune.core.selection.paths import follows_a_path, kept_at, path_of
from coreprune.coresets.coreset import Selection, group_coreset
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.prices import PriceList, weighted_readers
from coreprune.coresets.views import Run
from coreprune.errors import UnsupportedModelError
from coreprune.graph.cut import Cut, columns_of, entries_left, parts_of, shrink, widen
from coreprune.graph.groups import RIDES_WITH_NONE, Group, Whole, passengers_of
from coreprune.graph.ir import Graph, Parameters
from coreprune.laws.space import QuerySpace
from coreprune.progress import Progress
from coreprune.records import GroupRecord
from coreprune.shells.network import Network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is to be cut, in which order and how.

    Attributes:
        method: How neurons are chosen.
        groups: In the order in which they are cut.
        widths: The neurons that each keeps.
        space: The radii to plan for.
        moments: What their readers see under the law.
        prices: What neurons are worth; empty for methods that do not ask.
        seeds: One a group.
    """

    method: Method
    groups: tuple[Group, ...]
    widths: Mapping[str, int]
    space: QuerySpace
    moments: GroupMoments
    prices: PriceList
    seeds: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """The network's tensors after some cuts, and what was done.

    Attributes:
        parameters: The tensors.
        cuts: What was cut, in order.
        records: By the group's name.
        restored: Layers that stay whole because a cut broke the model.
    """

    parameters: Parameters
    cuts: tuple[Cut, ...] = ()
    records: Mapping[str, GroupRecord] = field(default_factory=dict)
    restored: tuple[Whole, ...] = ()


def changed_by(outcome: Outcome, subject: Network) -> dict[str, Tensor]:
    """The tensors that cuts have changed, by name.

    The rest is to come from the source: running the copy may have changed its buffers.
    """
    return {
        name: tensor
        for name, tensor in outcome.parameters.items()
        if tensor is not subject.graph.parameters[name]
    }


IsSound = Callable[[Group, Outcome], bool]
"""Whether the network still does what it did after one more group was cut."""

CutEach = Callable[[Outcome, IsSound | None], Outcome]
"""Cuts all groups, or those of which it is asked whether they are sound and told so."""


def cut_soundly(subject: Network, plan: Plan, tell: Progress) -> Outcome:
    """Cut all groups; where that breaks the model, again one by one, restoring those that do.

    Args:
        subject: The model under work.
        plan: What is to be cut.
        tell: Called as (what, done, of).

    Returns:
        The outcome, in which at least one group is cut.

    Raises:
        UnsupportedModelError: When every group breaks it.
    """

    def cut_each(outcome: Outcome, is_sound: IsSound | None) -> Outcome:
        return _cut_each(plan, outcome, graph=subject.graph, tell=tell, is_sound=is_sound)

    outcome = checked(subject, plan.groups, cut_each, tell=tell)
    if not outcome.cuts:
        listing = "; ".join(
            f"{entry.name}: {entry.reason}"
            for entry in outcome.restored
            if entry.reason != RIDES_WITH_NONE
        )
        raise UnsupportedModelError(f"no layer can be cut soundly: {listing}")
    return outcome


def checked(
    subject: Network, groups: Sequence[Group], cut_each: CutEach, *, tell: Progress
) -> Outcome:
    """What cutting gives, after a second pass without the groups that break the model.

    Args:
        subject: The model under work.
        groups: The groups that may be cut.
        cut_each: Cuts them.
        tell: Called as (what, done, of).

    Returns:
        The outcome; nothing is cut in it when every group breaks the model.
    """
    start = Outcome(parameters=subject.graph.parameters)
    outcome = cut_each(start, None)
    if not outcome.cuts:
        return outcome
    tell("checking", 0, 1)
    if _violation(subject, outcome) is None:
        return outcome
    restored: list[Whole] = []

    def is_sound(group: Group, trial: Outcome) -> bool:
        reason = _violation(subject, trial)
        if reason and group.is_split:
            reason += "; it is split into parts: chunk(2, dim) and glu take any width, not split(n)"
        restored.extend([Whole(name=group.name, reason=reason)] if reason else [])
        return reason is None

    outcome = cut_each(start, is_sound)
    restored = [entry for entry in restored if entry.name not in outcome.records]
    names = {entry.name for entry in restored}
    restored += [
        Whole(name=passenger, reason=RIDES_WITH_NONE)
        for group in groups
        if group.name in names
        for passenger in passengers_of(group)
    ]
    return replace(outcome, restored=tuple(restored))


def _violation(subject: Network, outcome: Outcome) -> str | None:
    columns = {name for cut in outcome.cuts for name in columns_of(cut.group)}
    for name in columns:
        if not outcome.parameters[name].isfinite().all():
            return f"the new weights of its readers overflow {outcome.parameters[name].dtype}"
    return subject.violation(
        outcome.parameters,
        widen(outcome.parameters, subject.graph.parameters, outcome.cuts),
        columns=columns,
    )


def _cut_each(
    plan: Plan,
    outcome: Outcome,
    *,
    graph: Graph,
    tell: Progress,
    is_sound: IsSound | None,
) -> Outcome:
    """Cut the groups one after the other, each seeing the network as the earlier ones left it.

    A group whose cut is not sound stays as it was.
    """
    run = Run(plan.moments)
    for done, group in enumerate(plan.groups):
        tell("checking layer by layer" if is_sound else "cutting", done, len(plan.groups))
        own = parts_of(group, outcome.parameters, outcome.cuts)
        cut, record = group_coreset(
            group,
            own,
            method=plan.method,
            num_neurons=plan.widths[group.name],
            query_radius=plan.space.radii[group.name],
            selection=_selected(plan, run, group, outcome=outcome),
            generator=Generator().manual_seed(plan.seeds[group.name]),
        )
        after, cuts = shrink(outcome.parameters, cut, outcome.cuts), (*outcome.cuts, cut)
        proven = certificate_of(
            cut, own, parts_of(group, after, cuts), space=plan.space, graph=graph
        )
        record = replace(
            record,
            certificate=proven.bound,
            certificate_radius=proven.radius,
            certificate_space=proven.space,
        )
        trial = Outcome(
            parameters=after,
            cuts=cuts,
            records={**outcome.records, group.name: record},
        )
        if is_sound is None or is_sound(group, trial):
            run.cut(group, cut.indices)
            outcome = trial
    return outcome


def _selected(plan: Plan, run: Run, group: Group, *, outcome: Outcome) -> Selection | None:
    """The neurons of a group that stay, seen from the network as earlier cuts left it."""
    if not follows_a_path(plan.method) or plan.widths[group.name] == group.neurons:
        return None
    views = run.views(group, outcome.parameters, outcome.cuts)
    responses = plan.prices.responses
    weights = [consumer.affine.weight for consumer in group.consumers]
    rows = entries_left(
        outcome.cuts, {(name, 0): responses.roots[name].shape[1] for name in weights}
    )
    roots = [responses.root(name, rows[name, 0]) for name in weights]
    readers = weighted_readers(views, roots)
    path = plan.prices.paths[group.name] if not outcome.cuts else path_of(plan.method, readers)
    kept = kept_at(plan.method, readers, path, num_neurons=plan.widths[group.name])
    return Selection(kept=kept, views=views, roots=roots)
