"""How far a pruned network can be from the original on bounded queries: proven, and attacked."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from coreprune.certificates.arguments import (
    check_groups,
    check_numbers,
    check_same_ends,
    checked_samples,
    largest_norm,
    networks_of,
)
from coreprune.certificates.asked import Asked
from coreprune.certificates.by_group import of_groups, runs_by_name
from coreprune.certificates.channel_pairs import channel_pairs
from coreprune.certificates.judged import by_range, holds, not_beaten, says_nothing, vacuous_words
from coreprune.certificates.network import NetworkChain, carried, network_chain, same_ending
from coreprune.certificates.precision import named, unbounded
from coreprune.core.chain_attack import hidden_attack, output_attack
from coreprune.core.chain_pair import PairBound, pair_bound
from coreprune.core.chain_range import preactivations
from coreprune.core.chain_rounding import ChainRounding, chain_rounding
from coreprune.core.decisions import decided, keeps_order
from coreprune.core.query_set import QuerySet
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.partition import find_groups
from coreprune.opening import Model
from coreprune.queries.ball import Ball
from coreprune.queries.bounded import Space, check_space, query_set_of, words_of
from coreprune.records import Certified, CertifiedGroup
from coreprune.shells.network import Network


def certify(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    original: Model,
    pruned: Model,
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
        original: A module, or the path of an .onnx file; it is not touched.
        pruned: One with the same inputs, outputs and names of layers.
        space: The queries: `Ball(radius)` around the origin, `Box(low, high)` or
            `Ellipsoid(centre, root)`. May be left out where samples are given: then it is the
            smallest ball around the origin that holds them with all that is within the radius.
            Where the network is no plain chain of layers, the inputs of each group's layer.
        example_inputs: As for `prune`; may be left out for files, and where the first linear layer
            of a module tells the shape of an input.
        example_kwargs: Keyword arguments of the forward pass.
        samples: Inputs to ask of whether their class, the largest output of the last layer, can
            change. Shape (N, ...).
        radius: How far from a sample queries may be; 0 when None.
        effort: Seconds for each of the certificates that make a bound; None refines once where
            that is quick.
        seed: Fixes the attack.

    Returns:
        The certificate and the attack.

    Raises:
        ArgumentError: When an argument breaks its rule, or the two have other inputs or outputs.
        FileFormatError: When a file is missing or damaged.
        UnsupportedModelError: When weights are not finite, or nothing in them can be certified.

    Example:
        >>> import coreprune
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> small = coreprune.prune(net, torch.randn(2, 8), keep=0.5).model
        >>> found = certify(net, small, Ball(2.0))
        >>> found.scope, found.certificate.shape, bool((found.attack <= found.certificate).all())
        ('network', torch.Size([3]), True)
    """
    asked = question(space, samples=samples, radius=radius, effort=effort, seed=seed)
    return certified(networks_of((original, pruned), example_inputs, example_kwargs), asked)


def question(
    space: Space | None,
    *,
    samples: Tensor | None = None,
    radius: float | None = None,
    effort: float | None = None,
    seed: int = 0,
) -> Asked:
    """What a certificate is asked for, checked; arguments as `certify` takes them.

    Raises:
        ArgumentError: When an argument breaks its rule.
    """
    check_numbers(effort, radius=radius, seed=seed)
    rows = None if samples is None else checked_samples(samples)
    if space is None and rows is not None:
        space = Ball(largest_norm(rows) + (radius or 0.0))
    check_space(space)
    return Asked(
        space=cast("Space", space),
        effort=effort,
        seed=int(seed),
        samples=rows,
        radius=radius or 0.0,
    )


def certified(networks: tuple[Network, Network], asked: Asked) -> Certified:
    """Prove how far two networks can be apart, and look for the worst; see `certify`.

    Args:
        networks: The original and the pruned one.
        asked: What for.

    Returns:
        The certificate and the attack.

    Raises:
        ArgumentError: When the two have other outputs, or the space or samples do not fit them.
        UnsupportedModelError: When nothing in them can be certified.
    """
    first, second = networks
    check_same_ends(first, second)
    groups = [find_groups(subject.graph).groups for subject in (first, second)]
    check_groups(groups[0], first)
    one, other = network_chain(first, groups[0]), network_chain(second, groups[1])
    if isinstance(one, NetworkChain) and isinstance(other, NetworkChain):
        share = None if asked.samples is None else _share(one, other, asked.samples, asked=asked)
        return replace(_of_network(one, other, asked), unchanged=share)
    why = one if isinstance(one, str) else f"of the pruned network, {other}"
    if asked.samples is not None:
        raise ArgumentError(f"samples ask for classes of the whole network, but {why}")
    graphs = first.graph, second.graph
    return of_groups(
        runs_by_name(first, groups[0]),
        runs_by_name(second, groups[1]),
        asked=asked,
        why=why,
        channels=list(channel_pairs(graphs, (groups[0], groups[1]), asked)),
        order=[group.name for group in groups[0]],
    )


def _of_network(one: NetworkChain, other: NetworkChain, asked: Asked) -> Certified:
    space = query_set_of(asked.space, one.shape)
    if not same_ending(one, other):
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
    own, more = (
        chain_rounding(chain.links, space, dtype=chain.precision, ending=one.ending)
        for chain in (one, other)
    )
    rounding = own.outputs + more.outputs
    bound = carried(found.bound, one.ending) + rounding
    least, greatest = one.ending.extent(found.low, found.high)
    groups = _layers(one, other, _widened(found, own, more), space=space, asked=asked)
    types = (one.precision, other.precision)
    size = max(float(z.abs().amax()) for zs in both for z in zs)
    return Certified(
        certificate=bound,
        attack=attack,
        holds=bool(not_beaten(attack, bound, size=size).all())
        and all(holds(group, size) for group in groups),
        scope="network",
        space=words_of(asked.space),
        vacuous=vacuous_words(
            "outputs",
            says_nothing(bound, attack, greatest - least) & bound.isfinite(),
            unproven=int((~bound.isfinite()).sum()),
        ),
        groups=groups,
        rounding=rounding,
        precision=named(*types),
        by_range=by_range(one.links, other.links),
    )


def _widened(found: PairBound, own: ChainRounding, more: ChainRounding) -> PairBound:
    """The layers' bounds with what evaluating both networks adds."""
    if found.layers is None or found.match is None:
        return found
    triples = zip(found.layers, own.layers, more.layers, found.match, strict=True)
    layers = tuple(
        bound + mine[rows] + theirs[others] for bound, mine, theirs, (rows, others) in triples
    )
    return replace(found, layers=layers)


def _layers(
    one: NetworkChain, other: NetworkChain, found: PairBound, *, space: QuerySet, asked: Asked
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
        records.append(
            CertifiedGroup(
                name=name,
                certificate=worst if known else None,
                attack=reached,
                reason="" if known else _why_unknown(one, other, depth),
            )
        )
    return tuple(records)


def _why_unknown(one: NetworkChain, other: NetworkChain, depth: int) -> str:
    steep = [torch.as_tensor(link.activation.lipschitz) for link in one.links[: depth - 1]]
    if any(lipschitz.isinf().any() for lipschitz in steep):
        return "an activation before it jumps"
    return unbounded(named(one.precision, other.precision))


def _share(one: NetworkChain, other: NetworkChain, samples: Tensor, *, asked: Asked) -> float:
    flat = samples.detach().cpu().double().flatten(1)
    if flat.shape[1] != one.links[0].points.shape[1]:
        raise ArgumentError(
            f"samples must have {one.links[0].points.shape[1]} numbers each, as the networks' "
            f"input has, got {flat.shape[1]}"
        )
    outputs = len(one.links[-1].points)
    if outputs < 2:
        raise ArgumentError("samples ask for classes, but the networks have one output")
    if not keeps_order(one.ending, outputs=outputs):
        raise ArgumentError(
            f"samples ask for the largest output of the last layer, but behind {one.ending.name} "
            "another can be the largest; certify networks that end before it, or leave samples out"
        )
    flags = decided(
        one.links,
        other.links,
        flat,
        radius=asked.radius,
        generator=asked.generator(),
        precisions=(one.precision, other.precision),
    )
    return float(flags.double().mean())
