"""How far a pruned network can be from the original on bounded queries: proven, and attacked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn

from coreprune.certificates.arguments import (
    check_groups,
    check_numbers,
    check_same_ends,
    checked_samples,
    largest_norm,
    linear_example,
    subject_of,
)
from coreprune.certificates.network import NetworkChain, carried, network_chain
from coreprune.core.chain import Link
from coreprune.core.chain_attack import hidden_attack, output_attack
from coreprune.core.chain_pair import PairBound, pair_bound
from coreprune.core.chain_range import preactivations
from coreprune.core.decisions import decided
from coreprune.core.query_set import QuerySet
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.groups import Group, find_groups
from coreprune.graph.runs import links_of, runs_of
from coreprune.queries.ball import Ball
from coreprune.queries.bounded import Space, check_space, query_set_of, words_of
from coreprune.result import Certified, CertifiedGroup
from coreprune.shells.torch_module.subject import Subject

WITHIN = 1e-9
"""Of the largest value inside the networks: what evaluating an attack in float64 may be off by."""


def certify(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    original: nn.Module,
    pruned: nn.Module,
    space: Space | None = None,
    *,
    example_inputs: Any = None,  # noqa: ANN401
    example_kwargs: Mapping[str, Any] | None = None,
    samples: Tensor | None = None,
    radius: float | None = None,
    effort: float | None = None,
    seed: int = 0,
) -> Certified:
    """Prove for every query of a space how far two networks can be apart, and look for the worst.

    Nothing is taken on trust: the bound follows from the two networks alone, however one came from
    the other: repaired, fine-tuned, or cut by something else.

    Args:
        original: A module; it is not touched.
        pruned: One with the same inputs, outputs and names of layers.
        space: The queries: `Ball(radius)` around the origin, `Box(low, high)` or
            `Ellipsoid(centre, root)`. May be left out where samples are given: then it is the
            smallest ball around the origin that holds them with all that is within the radius.
            Where the network is no plain chain of layers, the inputs of each group's layer.
        example_inputs: As for `prune`; may be left out where the first linear layer tells the
            shape of an input.
        example_kwargs: Keyword arguments of the forward pass.
        samples: Inputs to ask of whether their class can change. Shape (N, ...).
        radius: How far from a sample queries may be; 0 when None.
        effort: Seconds for each of the certificates that make a bound; None refines once where
            that is quick.
        seed: Fixes the attack.

    Returns:
        The certificate and the attack.

    Raises:
        ArgumentError: When an argument breaks its rule, or the two have other inputs or outputs.
        UnsupportedModelError: When weights are not finite, or nothing in them can be certified.

    Example:
        >>> import coreprune
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> small = coreprune.prune(net, torch.randn(2, 8), keep=0.5).model
        >>> found = certify(net, small, Ball(2.0))
        >>> found.scope, found.certificate.shape, bool((found.attack <= found.certificate).all())
        ('network', torch.Size([3]), True)
    """
    check_numbers(effort, radius=radius, seed=seed)
    rows = None if samples is None else checked_samples(samples)
    if space is None and rows is not None:
        space = Ball(largest_norm(rows) + (radius or 0.0))
    check_space(space)
    asked = _Asked(space=cast("Space", space), effort=effort, seed=int(seed))
    example = linear_example(original, pruned) if example_inputs is None else example_inputs
    first, second = (subject_of(model, example, example_kwargs) for model in (original, pruned))
    check_same_ends(first, second)
    groups = [find_groups(subject.graph).groups for subject in (first, second)]
    check_groups(groups[0], first)
    one, other = network_chain(first, groups[0]), network_chain(second, groups[1])
    if isinstance(one, NetworkChain) and isinstance(other, NetworkChain):
        share = None
        if rows is not None:
            share = _share(one, other, rows, radius=radius or 0.0, generator=asked.generator())
        return replace(_of_network(one, other, asked), unchanged=share)
    why = one if isinstance(one, str) else f"of the pruned network, {other}"
    if rows is not None:
        raise ArgumentError(f"samples ask for classes of the whole network, but {why}")
    return _of_groups(
        _links_by_run(first, groups[0]), _links_by_run(second, groups[1]), asked=asked, why=why
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    space: Space
    effort: float | None
    seed: int

    def generator(self) -> Generator:
        """A fresh one, so that each part is the same whatever came before."""
        return Generator().manual_seed(self.seed)


def _of_network(one: NetworkChain, other: NetworkChain, asked: _Asked) -> Certified:
    space = query_set_of(asked.space, one.shape)
    if not _same_ending(one, other):
        raise UnsupportedModelError(
            f"the networks end in {one.ending.name} and {other.ending.name}, with other numbers; "
            "certify them without their last activation"
        )
    found = pair_bound(
        one.links, other.links, space, effort=asked.effort, generator=asked.generator()
    )
    reached = output_attack(one.links, other.links, space, generator=asked.generator())
    both = [preactivations(links, reached.queries) for links in (one.links, other.links)]
    ends = [one.ending(z[-1]) for z in both]
    attack = (ends[0] - ends[1]).abs().amax(0)
    bound = carried(found.bound, one.ending)
    least, greatest = one.ending.extent(found.low, found.high)
    groups = _layers(one, other, found, space=space, asked=asked)
    size = max(float(z.abs().amax()) for zs in both for z in zs)
    return Certified(
        certificate=bound,
        attack=attack,
        holds=bool((attack <= bound + WITHIN * size).all())
        and all(_holds(group, size) for group in groups),
        scope="network",
        space=words_of(asked.space),
        vacuous=_vacuous("outputs", bound > greatest - least),
        groups=groups,
    )


def _layers(
    one: NetworkChain, other: NetworkChain, found: PairBound, *, space: QuerySet, asked: _Asked
) -> tuple[CertifiedGroup, ...]:
    """What reaches the readers of every group, errors of all layers before included."""
    names = [group.name for group in one.run.groups]
    if found.layers is None or found.match is None:
        reason = "not attacked: the neurons of the two networks could not be matched"
        return tuple(
            CertifiedGroup(name=name, certificate=None, attack=None, reason=reason)
            for name in names
        )
    records = []
    for depth, (name, bound) in enumerate(zip(names, found.layers[1:], strict=True), start=2):
        worst = float(bound.amax())
        known = math.isfinite(worst)
        reached = hidden_attack(
            one.links[:depth],
            other.links[:depth],
            space,
            rows=found.match[depth - 1],
            generator=asked.generator(),
        )
        reason = "" if known else "an activation before it jumps"
        records.append(
            CertifiedGroup(
                name=name, certificate=worst if known else None, attack=reached, reason=reason
            )
        )
    return tuple(records)


def _links_by_run(subject: Subject, groups: Sequence[Group]) -> dict[str, tuple[Link, ...]]:
    return {one.name: links_of(one, subject.graph.parameters) for one in runs_of(groups)}


def _of_groups(
    originals: Mapping[str, Sequence[Link]],
    others: Mapping[str, Sequence[Link]],
    *,
    asked: _Asked,
    why: str,
) -> Certified:
    records, vacuous = [], []
    for name, links in originals.items():
        record, empty = _of_run(name, links, others.get(name), asked=asked)
        records.append(record)
        vacuous.append(empty)
    bounds = [math.inf if r.certificate is None else r.certificate for r in records]
    attacks = [math.nan if r.attack is None else r.attack for r in records]
    return Certified(
        certificate=torch.tensor(bounds, dtype=torch.float64),
        attack=torch.tensor(attacks, dtype=torch.float64),
        holds=all(_holds(record, record.attack or 0.0) for record in records),
        scope=f"group: no bound of the whole network, because {why}",
        space=f"{words_of(asked.space)}, inputs being those of each group's first layer",
        vacuous=_vacuous("groups", torch.tensor(vacuous)),
        groups=tuple(records),
    )


def _of_run(
    name: str, links: Sequence[Link], other: Sequence[Link] | None, *, asked: _Asked
) -> tuple[CertifiedGroup, bool]:
    """One run of groups, and whether its bound says nothing."""

    def none(reason: str) -> tuple[CertifiedGroup, bool]:
        text = f"not attacked: {reason}"
        return CertifiedGroup(name=name, certificate=None, attack=None, reason=text), False

    if other is None:
        return none("the pruned network has no such group")
    if _ends(links) != _ends(other):
        return none("layers around it have other sizes in the pruned network")
    try:
        space = query_set_of(asked.space, (links[0].points.shape[1],))
        found = pair_bound(links, other, space, effort=asked.effort, generator=asked.generator())
    except ArgumentError as reason:
        return none(str(reason))
    reached = output_attack(links, other, space, generator=asked.generator())
    record = CertifiedGroup(
        name=name, certificate=float(found.bound.amax()), attack=float(reached.values.amax())
    )
    return record, bool((found.bound > found.high - found.low).any())


def _share(
    one: NetworkChain, other: NetworkChain, samples: Tensor, *, radius: float, generator: Generator
) -> float:
    flat = samples.detach().cpu().double().flatten(1)
    if flat.shape[1] != one.links[0].points.shape[1]:
        raise ArgumentError(
            f"samples must have {one.links[0].points.shape[1]} numbers each, as the networks' "
            f"input has, got {flat.shape[1]}"
        )
    if len(one.links[-1].points) < 2:
        raise ArgumentError("samples ask for classes, but the networks have one output")
    flags = decided(one.links, other.links, flat, radius=radius, generator=generator)
    return float(flags.double().mean())


def _ends(links: Sequence[Link]) -> tuple[int, int]:
    return links[0].points.shape[1], len(links[-1].points)


def _holds(group: CertifiedGroup, size: float) -> bool:
    if group.certificate is None or group.attack is None:
        return True
    return group.attack <= group.certificate + WITHIN * size


def _same_ending(one: NetworkChain, other: NetworkChain) -> bool:
    width = len(one.links[-1].points)
    grid = torch.linspace(-64, 64, 1025, dtype=torch.float64)[:, None].expand(-1, width)
    same_name = one.ending.name == other.ending.name
    return same_name and torch.equal(one.ending(grid), other.ending(grid))


def _vacuous(what: str, flags: Tensor) -> str:
    count = int(flags.sum())
    if not count:
        return ""
    return (
        f"{count} of {len(flags)} {what}: the certificate exceeds the whole range of the "
        "original there, so it says nothing"
    )
