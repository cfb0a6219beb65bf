"""The certificate of a saved network, proven again from what its record says was kept."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.certificates.arguments import linear_example, subjects_of
from coreprune.certificates.fast import certificate_along
from coreprune.certificates.network import NetworkChain, network_chain
from coreprune.graph.partition import find_groups


def proven_along(
    original: nn.Module,
    pruned: nn.Module,
    *,
    example_inputs: Any,  # noqa: ANN401
    kept: Mapping[str, object],
    radius: float,
) -> float | None:
    """How far any output can be from the original's, neurons matched as a record says.

    The record is not trusted: the bound holds whatever neurons are said to stand for others, and
    is only large where they do not.

    Args:
        original: A network.
        pruned: One with the same inputs and outputs.
        example_inputs: As for `certify`.
        kept: By groups, what the record says of the neurons kept; anything may stand there.
        radius: Inputs of norm at most this count.

    Returns:
        The worst over all outputs, or None where the neurons cannot be matched so, or no bound of
        the two networks exists.
    """
    example = linear_example(original, pruned) if example_inputs is None else example_inputs
    subjects = subjects_of((original, pruned), example, None)
    one, other = (network_chain(subject, find_groups(subject.graph).groups) for subject in subjects)
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
