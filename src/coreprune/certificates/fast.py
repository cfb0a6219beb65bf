"""The certificates that every pruned network carries: bounds that take less time than pruning."""

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from coreprune.certificates.network import NetworkChain, carried, same_ending, with_parameters
from coreprune.certificates.precision import named, unbounded
from coreprune.core.certificate import certificate
from coreprune.core.chain import Link, chain_bound
from coreprune.core.chain_range import chain_range
from coreprune.core.chain_rounding import chain_rounding
from coreprune.core.matching import stages_along
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.cut import Cut
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters
from coreprune.graph.runs import Run, links_of, precision_of, same_tensors

SMALL = 2**16
"""n·k·min(n, d) up to which bounds of groups are refined sum by sum, which takes many times as long
as those of all at once, and every group that is cut has one."""

SMALL_NETWORK = 2**20
"""The same for the bound of the whole network, of which there is one."""

WIDEST = 2**33
"""n·max(k, d)·min(n, d) beyond which there is no fast certificate: its time grows with the cube of
the width, and 2,048 neurons (n = d = k) are the last to have one."""

TOO_WIDE = "too wide for the fast certificate; coreprune.certify and coreprune verify take the time"


def is_too_wide(group: Group, parameters: Parameters) -> bool:
    """Whether a group's layer and one that reads it are beyond `WIDEST`."""
    n, d = parameters[group.producer.weight].flatten(1).shape
    rows = (len(parameters[consumer.affine.weight]) for consumer in group.consumers)
    return _work(n, d, max(rows)) > WIDEST


def cut_certificate(
    cut: Cut, before: Parameters, after: Parameters, *, query_radius: float
) -> float | None:
    """How far any output of any consumer is from what it was before a cut.

    Where the constant of the cut is in the mean of a normalisation behind a consumer, its output
    less that mean. Every consumer is bounded for itself, its own passengers seen; activations
    without an envelope by their ranges and Lipschitz constants. Evaluating both in their own dtype
    is counted.

    Args:
        cut: The cut.
        before: The network's tensors before it.
        after: The tensors after it, as they are stored.
        query_radius: β: inputs of the group's layer of norm at most β count.

    Returns:
        The worst over all outputs of all consumers, or None where an activation overflows or the
        rounding of such long sums has no bound, or the layer is too wide.
    """
    if is_too_wide(cut.group, before):
        return None
    bounds = []
    for reader in cut.group.consumers:
        run = Run(groups=(cut.group,), reader=reader)
        hidden, last = whole = links_of(run, before)
        _, small = kept = links_of(run, after)
        weights = last.points.clone()
        weights[:, cut.indices.cpu()] -= small.points
        block = Block(
            points=hidden.points, bias=hidden.bias, activation=hidden.activation, weights=weights
        )
        try:
            space = ball(query_radius, dimension=hidden.points.shape[1])
            found = certificate(
                neuron_sums([block], last.bias - small.bias), space, effort=_effort(whole)
            )
            own, other = (
                chain_rounding(links, space, dtype=precision_of(run, parameters)).outputs
                for links, parameters in ((whole, before), (kept, after))
            )
        except ArgumentError:
            return None
        bounds.append(float((found.bound + own + other).amax()))
    return max(bounds, default=0.0) if all(map(math.isfinite, bounds)) else None


def network_certificate(
    chain: NetworkChain | str,
    after: Parameters,
    *,
    kept: Mapping[str, Sequence[int]],
    radius: float,
) -> tuple[float | None, str]:
    """How far any output of a pruned network is from the original's, both in their own dtype.

    Args:
        chain: The original, or why it is no chain.
        after: The pruned network's tensors, repaired or not.
        kept: The neurons kept, by the names of the groups that were cut.
        radius: Inputs of norm at most this count.

    Returns:
        The worst over all outputs, or None, and its scope or the reason in words.
    """
    try:
        return _worst(chain, after, kept=kept, radius=radius), "network"
    except (ArgumentError, UnsupportedModelError, _UnprovenError) as reason:
        return None, f"group: no bound of the whole network, because {reason}"


def certificate_along(
    chain: NetworkChain, other: NetworkChain, kept: Sequence[Tensor], *, radius: float
) -> float | None:
    """As `network_certificate`, of two chains that need not come from one another.

    Args:
        chain: The original.
        other: A chain of as many layers, none wider, and as many outputs.
        kept: The original's neurons for those of the other, layer by layer, no two the same.
        radius: Inputs of norm at most this count.

    Returns:
        The worst over all outputs, or None.
    """
    if same_tensors(chain.tensors, other.tensors) and _each_itself(chain, other, kept):
        return 0.0
    try:
        return _along(chain, other, kept, radius=radius)
    except (ArgumentError, UnsupportedModelError, _UnprovenError):
        return None


def _each_itself(chain: NetworkChain, other: NetworkChain, kept: Sequence[Tensor]) -> bool:
    """Whether every neuron stands for itself and has the same function."""
    whole = all(rows.tolist() == [*range(len(rows))] for rows in kept)
    alike = same_ending(chain, other)
    return whole and alike and stages_along(chain.links, other.links, kept) is not None


def range_exceeded(chain: NetworkChain, certificate: float, *, radius: float) -> str:
    """Of how many outputs a certificate says nothing, because their whole range is smaller.

    Args:
        chain: The original.
        certificate: Of its outputs.
        radius: For inputs of at most this norm.

    Returns:
        A sentence, empty where it says something of each.
    """
    space = ball(radius, dimension=chain.links[0].points.shape[1])
    try:
        ranges = chain_range(chain.links, space, effort=_effort(chain.links))
    except ArgumentError:  # an activation overflows, so the range is not known
        return ""
    low, high = chain.ending.extent(*ranges)
    count = int((~(certificate <= high - low)).sum())  # a NaN is no range
    if not count:
        return ""
    return (
        f"the certificate exceeds the whole range of {count} of {len(low)} outputs on that ball, "
        "so it says nothing of them"
    )


class _UnprovenError(Exception):
    """Why a network has no certificate; never leaves this file."""


def _worst(
    chain: NetworkChain | str,
    after: Parameters,
    *,
    kept: Mapping[str, Sequence[int]],
    radius: float,
) -> float:
    """The bound of `network_certificate`.

    Raises:
        _UnprovenError: When there is none.
    """
    if isinstance(chain, str):
        raise _UnprovenError(chain)
    if max(_works(chain.links)) > WIDEST:
        raise _UnprovenError(f"a layer is {TOO_WIDE}")
    small = with_parameters(chain, after)
    if same_tensors(chain.tensors, small.tensors):
        return 0.0
    return _along(chain, small, _kept(chain, kept), radius=radius)


def _along(
    chain: NetworkChain, small: NetworkChain, kept: Sequence[Tensor], *, radius: float
) -> float:
    """The bound of two chains whose neurons are matched.

    Raises:
        _UnprovenError: When there is none.
    """
    stages = stages_along(chain.links, small.links, kept)
    if stages is None or not same_ending(chain, small):
        raise _UnprovenError("repair changed its activations")
    space = ball(radius, dimension=chain.links[0].points.shape[1])
    found = chain_bound(stages, space, effort=_effort(chain.links, most=SMALL_NETWORK))
    exact = carried(found.bound, chain.ending)
    if not exact.isfinite().all():
        raise _UnprovenError("an activation in it jumps")
    own, other = (
        chain_rounding(each.links, space, dtype=each.precision, ending=each.ending).outputs
        for each in (chain, small)
    )
    worst = float((exact + own + other).amax())
    if not math.isfinite(worst):
        raise _UnprovenError(unbounded(named(chain.precision, small.precision)))
    return worst


def _kept(chain: NetworkChain, kept: Mapping[str, Sequence[int]]) -> list[Tensor]:
    names = [group.name for group in chain.run.groups]
    widths = [len(link.points) for link in chain.links]
    rows = [
        torch.tensor(list(kept.get(name, range(width))))
        for name, width in zip(names, widths, strict=False)
    ]
    return [*rows, torch.arange(widths[-1])]


def _effort(links: Sequence[Link], *, most: int = SMALL) -> float | None:
    """Zero, which is quick, but for small layers."""
    sizes = [
        len(hidden.points) * len(reader.points) * min(hidden.points.shape)
        for hidden, reader in itertools.pairwise(links)
    ]
    return None if max(sizes) <= most else 0.0


def _works(links: Sequence[Link]) -> list[int]:
    """The work of every hidden layer."""
    return [
        _work(len(hidden.points), hidden.points.shape[1], len(reader.points))
        for hidden, reader in itertools.pairwise(links)
    ]


def _work(n: int, d: int, k: int) -> int:
    """What spectral norms of n × d and the bounds of k sums take."""
    return n * max(k, d) * min(n, d)
