"""Certificates of the runs of two networks, each for itself, where no bound of the whole exists."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from coreprune.certificates.asked import Asked
from coreprune.certificates.group_bound import NO_SUCH_GROUP, OTHER_SIZES, GroupBound, unproven
from coreprune.certificates.judged import by_range, holds, says_nothing, vacuous_words
from coreprune.certificates.precision import named, unbounded
from coreprune.core.chain import Link
from coreprune.core.chain_attack import output_attack
from coreprune.core.chain_pair import pair_bound
from coreprune.core.chain_rounding import chain_rounding
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Group
from coreprune.graph.runs import links_of, precision_of, runs_of
from coreprune.queries.bounded import query_set_of, words_of
from coreprune.records import Certified, CertifiedGroup
from coreprune.shells.network import Network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunLayers:
    """The layers of a run, what they run in, and what is taken off what the last one gives.

    Attributes:
        links: The layers.
        precision: What they run in.
        less_mean: Whether that is the mean of a normalisation behind it.
        group: The name of the first of its groups.
    """

    links: tuple[Link, ...]
    precision: torch.dtype
    less_mean: bool
    group: str


def runs_by_name(subject: Network, groups: Sequence[Group]) -> dict[str, RunLayers]:
    """The runs of a network.

    Args:
        subject: The network.
        groups: Its groups.

    Returns:
        Their layers by their names.
    """
    parameters = subject.graph.parameters
    return {
        one.name: RunLayers(
            links=links_of(one, parameters),
            precision=precision_of(one, parameters),
            less_mean=one.reader.constant not in {None, one.reader.affine.bias},
            group=one.groups[0].name,
        )
        for one in runs_of(groups)
    }


def of_groups(
    originals: Mapping[str, RunLayers],
    others: Mapping[str, RunLayers],
    *,
    asked: Asked,
    why: str,
    channels: Sequence[tuple[str, GroupBound]],
    order: Sequence[str],
) -> Certified:
    """Certify and attack run by run.

    Args:
        originals: The original's runs by their names.
        others: The pruned network's.
        asked: What for.
        why: Why there is no bound of the whole network, in words.
        channels: Groups that are in no run, by their names, and what is proven of each.
        order: The names of the original's groups, as they are to be listed.

    Returns:
        The certificates.

    Raises:
        ArgumentError: When the space fits the inputs of no run.
    """
    _check_fits(originals, asked)
    runs = [
        (run.group, _of_run(name, run, others.get(name), asked=asked))
        for name, run in originals.items()
    ]
    found = [one for _, one in sorted([*runs, *channels], key=lambda each: order.index(each[0]))]
    records = [one.record for one in found]
    bounds = [math.inf if r.certificate is None else r.certificate for r in records]
    attacks = [math.nan if r.attack is None else r.attack for r in records]
    windows = (
        ", of a convolution the windows that all taps of the layer behind it see together, or its "
        "patches where that has one tap"
        if channels
        else ""
    )
    return Certified(
        certificate=torch.tensor(bounds, dtype=torch.float64),
        attack=torch.tensor(attacks, dtype=torch.float64),
        holds=all(holds(record, record.attack or 0.0) for record in records),
        scope=f"group: no bound of the whole network, because {why}",
        space=f"{words_of(asked.space)}, inputs being those of each group's first layer{windows}",
        vacuous=vacuous_words(
            "groups",
            torch.tensor([one.vacuous for one in found]),
            unproven=sum(record.certificate is None for record in records),
        ),
        groups=tuple(records),
        rounding=torch.tensor([one.rounding for one in found], dtype=torch.float64),
        precision=named(
            *(run.precision for run in (*originals.values(), *others.values())),
            *(dtype for _, one in channels for dtype in one.types),
        ),
        by_range=by_range(*(run.links for run in (*originals.values(), *others.values()))),
    )


def _check_fits(originals: Mapping[str, RunLayers], asked: Asked) -> None:
    """Refuse a space that fits the inputs of no run.

    Raises:
        ArgumentError: With the reason for every run.
    """
    reasons = []
    if not originals:
        return  # groups of channels tell for themselves
    for name, run in originals.items():
        try:
            query_set_of(asked.space, (run.links[0].points.shape[1],))
        except ArgumentError as reason:
            reasons.append(f"{name}: {reason}")
        else:
            return
    raise ArgumentError(
        "space must fit the inputs of a group's first layer, since there is no bound of the whole "
        f"network, and fits none ({'; '.join(reasons)}); pass coreprune.Ball(radius)"
    )


def _of_run(name: str, run: RunLayers, other: RunLayers | None, *, asked: Asked) -> GroupBound:
    """One run of groups."""
    if other is None:
        return unproven(name, NO_SUCH_GROUP)
    links = run.links
    if _ends(run) != _ends(other):
        return unproven(name, OTHER_SIZES)
    try:
        space = query_set_of(asked.space, (links[0].points.shape[1],))
        found = pair_bound(
            links, other.links, space, effort=asked.effort, generator=asked.generator()
        )
    except ArgumentError as reason:
        return unproven(name, str(reason))
    own, more = (chain_rounding(one.links, space, dtype=one.precision) for one in (run, other))
    rounding = own.outputs + more.outputs
    bound = found.bound + rounding
    if not bound.isfinite().all():
        why = unbounded(named(run.precision, other.precision))
        return unproven(name, why, rounding=math.inf)
    reached = output_attack(links, other.links, space, generator=asked.generator())
    return GroupBound(
        record=CertifiedGroup(
            name=name, certificate=float(bound.amax()), attack=float(reached.values.amax())
        ),
        vacuous=bool(says_nothing(bound, reached.values, found.high - found.low).any()),
        rounding=float(rounding.amax()),
    )


def _ends(run: RunLayers) -> tuple[int, int, bool]:
    return run.links[0].points.shape[1], len(run.links[-1].points), run.less_mean
