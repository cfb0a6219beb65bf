"""The certificate of one cut, whatever kind of group it is, and the inputs that it speaks of."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.certificates.channels import by_ranges, difference, jointly, tap_by_tap, way_of
from coreprune.certificates.fast import TOO_WIDE, cut_certificate, is_too_wide
from coreprune.certificates.view import names_of, view
from coreprune.errors import ArgumentError
from coreprune.graph.cut import Cut
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Add, Convolution, Graph, Multiply, Parameters
from coreprune.graph.runs import same_tensors
from coreprune.laws.space import QuerySpace


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCertificate:
    """What is proven of a cut.

    Attributes:
        bound: No output of any reader is further from what it was; None where nothing is proven.
        radius: Of the ball of inputs that it speaks of; None likewise.
        space: Those inputs in words; None likewise.
    """

    bound: float | None = None
    radius: float | None = None
    space: str | None = None


def no_certificate(group: Group, parameters: Parameters) -> str | None:
    """Why a group's cut has no certificate, in words; None where it may have one."""
    nodes = [node for consumer in group.consumers for node in consumer.passengers]
    if group.gates or any(isinstance(node, Multiply) for node in nodes):
        return "its neurons are multiplied by a gate"
    if any(isinstance(node, Add) for node in nodes):
        return "its neurons are added to themselves"
    if group.is_plain and is_too_wide(group, parameters):
        return TOO_WIDE
    return None


def certificate_of(
    cut: Cut, before: Parameters, after: Parameters, *, space: QuerySpace, graph: Graph
) -> CutCertificate:
    """How far the outputs of a group's readers are from what they were before a cut.

    Of a convolution every position of every map counts, borders included; where a constant that
    the cut adds has its place in the mean of a normalisation behind a reader, the output less that
    mean. Evaluating both networks in their own dtype is counted, the arithmetic of normalisations
    behind the reader is not.

    Args:
        cut: The cut.
        before: The network's tensors before it.
        after: The tensors after it, as they are stored.
        space: How large inputs get.
        graph: For the sizes of maps, which are those of the example.

    Returns:
        The worst over all outputs of all readers, or nothing where an activation overflows, the
        rounding of such long sums has no bound, or `no_certificate` says why.
    """
    group = cut.group
    if no_certificate(group, before) is not None:
        return CutCertificate()
    bound: float | None
    radius = space.radii[group.name]
    if _is_whole(cut, before, after):
        bound, words = 0.0, f"inputs of the layer of norm at most {radius:.6g}"
    elif group.is_plain:
        bound = cut_certificate(cut, before, after, query_radius=radius)
        words = f"inputs of the layer of norm at most {radius:.6g}"
    else:
        ways = [way_of(group, consumer, before, graph=graph) for consumer in group.consumers]
        words = "patches" if isinstance(group.producer, Convolution) else "inputs at one position"
        if "jointly" in ways:
            window = space.windows[group.name]
            radius, words = window.radius, f"windows of {_sizes(window.extents)} positions"
        words = f"inputs of the layer whose {words} have norm at most {radius:.6g}"
        if "by ranges" in ways:
            words += "; only the ranges of its channels are known to some of its readers"
        bound = _worst(cut, before, after, graph=graph, radius=radius)
    if bound is None:
        return CutCertificate()
    return CutCertificate(bound=bound, radius=radius, space=words)


def _is_whole(cut: Cut, before: Parameters, after: Parameters) -> bool:
    """Whether the cut left every tensor around the group as it was."""
    names = [name for each in cut.group.consumers for name in names_of(cut.group, each)]
    both = [{name: own[name] for name in names} for own in (before, after)]
    return same_tensors(both[0], both[1])


def _sizes(extents: tuple[int, ...]) -> str:
    return "×".join(map(str, extents))


def _worst(
    cut: Cut, before: Parameters, after: Parameters, *, graph: Graph, radius: float
) -> float | None:
    try:
        bounds = [
            _bounds(cut, consumer, (before, after), graph=graph, radius=radius)
            for consumer in cut.group.consumers
        ]
    except ArgumentError:  # an activation overflows
        return None
    worst = float(torch.stack([bound.amax() for bound in bounds]).amax())  # NaN if any is
    return worst if math.isfinite(worst) else None


def _bounds(
    cut: Cut,
    consumer: Consumer,
    networks: tuple[Parameters, Parameters],
    *,
    graph: Graph,
    radius: float,
) -> Tensor:
    """Of one reader, for every pattern of taps. Shape (P, k)."""
    group, kept = cut.group, cut.indices.cpu()
    one, other = (view(group, consumer, own, graph=graph, radius=radius) for own in networks)
    found = difference(one, other, kept)
    match way_of(group, consumer, networks[0], graph=graph):
        case "jointly":
            bounds = jointly(group, consumer, found, graph=graph, radius=radius)
        case "tap by tap":
            bounds = tap_by_tap(consumer, found, graph=graph, radius=radius)
        case _:
            bounds = by_ranges(consumer, one, other, kept=kept, graph=graph)
    return bounds + one.rounding + other.rounding
