"""The certificate of a saved network, proven again from what its record says was kept."""

from collections.abc import Mapping

import torch
from torch import Tensor

from coreprune.certificates.fast import certificate_along
from coreprune.certificates.network import NetworkChain, network_chain
from coreprune.graph.partition import find_groups
from coreprune.shells.network import Network


def proven_along(
    networks: tuple[Network, Network], *, kept: Mapping[str, object], radius: float
) -> float | None:
    """How far any output can be from the original's, neurons matched as a record says.

    The record is not trusted: the bound holds whatever neurons are said to stand for others, and
    is only large where they do not.

    Args:
        networks: The original, and one with the same inputs and outputs.
        kept: By groups, what the record says of the neurons kept; anything may stand there.
        radius: Inputs of norm at most this count.

    Returns:
        The worst over all outputs, or None where the neurons cannot be matched so, or no bound of
        the two networks exists.
    """
    one, other = (network_chain(each, find_groups(each.graph).groups) for each in networks)
    if not isinstance(one, NetworkChain) or not isinstance(other, NetworkChain):
        return None
    rows = _rows(one, other, kept)
    return None if rows is None else certificate_along(one, other, rows, radius=radius)


def _rows(
    one: NetworkChain, other: NetworkChain, kept: Mapping[str, object]
) -> list[Tensor] | None:
    """The original's neurons for those of every layer of the other, None where that is no match."""
    if len(one.links) != len(other.links):
        return None
    names = [group.name for group in one.run.groups]
    rows = []
    for name, large, small in zip(names, one.links, other.links, strict=False):
        chosen = kept.get(name, list(range(len(large.points))))
        if not _is_choice(chosen, most=len(large.points)):
            return None
        rows.append(torch.tensor(chosen))
        if len(rows[-1]) != len(small.points):
            return None
    return [*rows, torch.arange(len(one.links[-1].points))]


def _is_choice(chosen: object, *, most: int) -> bool:
    """Whether these are indices below `most`, no two the same."""
    return (
        isinstance(chosen, list)
        and all(type(index) is int and 0 <= index < most for index in chosen)
        and len(set(chosen)) == len(chosen) > 0
    )
