"""What a chain of layers gives, and between which numbers that stays for every query."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.certificate import certificate
from coreprune.core.chain import Link, images
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import QuerySet
from coreprune.core.rounding import interval


def preactivations(links: Sequence[Link], x: Tensor) -> list[Tensor]:
    """Every z_l of a chain, first to last.

    Args:
        links: The layers.
        x: Queries in float64. Shape (..., d).

    Returns:
        z_l of shapes (..., n_l).
    """
    found: list[Tensor] = []
    for link in links:
        found.append(x @ link.points.to(x).T + link.bias.to(x))
        x = link.activation(found[-1])
    return found


def chain_range(
    links: Sequence[Link], space: QuerySet, *, effort: float | None = None
) -> tuple[Tensor, Tensor]:
    """An interval that holds every z_L.

    The last hidden layer's neurons, read by the last layer, are sums with a certificate of their
    own, over sets that hold all their inputs.

    Args:
        links: The layers, first to last.
        space: The queries of the first.
        effort: Seconds for each of at most two certificates.

    Returns:
        The least and the greatest value. Shapes (k,).

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.elementwise import identity
        >>> from coreprune.core.query_set import box
        >>> links = [
        ...     Link(points=torch.eye(2), bias=torch.zeros(2), activation=relu()),
        ...     Link(points=torch.ones(1, 2), bias=torch.ones(1), activation=identity())]
        >>> low, high = chain_range(links, box(-torch.ones(2), torch.ones(2)))
        >>> round(low.item(), 2), round(high.item(), 2)
        (1.0, 3.0)
    """
    last = links[-1]
    if len(links) == 1:
        return interval(last.points.double(), last.bias.double(), space)
    spaces = [space]
    for link in links[:-2]:
        spaces = images(link, spaces)
    block = Block(
        points=links[-2].points,
        bias=links[-2].bias,
        activation=links[-2].activation,
        weights=last.points,
    )
    sums = neuron_sums([block], last.bias)
    found = [certificate(sums, one, effort=effort) for one in spaces]
    low = torch.stack([one.lower for one in found]).amax(0)
    high = torch.stack([one.upper for one in found]).amin(0)
    return low, torch.maximum(low, high)
