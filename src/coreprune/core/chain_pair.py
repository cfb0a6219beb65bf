"""How far the outputs of any two chains of layers can be apart, for every query."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.certificate import certificate
from coreprune.core.chain import Link, Stage, chain_bound
from coreprune.core.chain_range import chain_range
from coreprune.core.matching import is_wider, matched
from coreprune.core.neuron_sums import Block, NeuronSums, difference, neuron_sums
from coreprune.core.query_set import QuerySet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairBound:
    """Proven for every query, both networks evaluated exactly on their weights as stored.

    Attributes:
        bound: |z_L − z̃_L| entry by entry. Shape (k,).
        low: A lower bound of the original's z_L. Shape (k,).
        high: An upper bound of it. Shape (k,).
        layers: |z_l − z̃_l| for the matched neurons of every layer, the last one `bound`; None
            where neurons could not be matched.
        match: The matched neurons of every layer, first of the original and then of the other.
    """

    bound: Tensor
    low: Tensor
    high: Tensor
    layers: tuple[Tensor, ...] | None
    match: tuple[tuple[Tensor, Tensor], ...] | None


def pair_bound(
    original: Sequence[Link],
    other: Sequence[Link],
    space: QuerySet,
    *,
    effort: float | None = None,
    generator: Generator,
) -> PairBound:
    """Bound the difference of two chains with the same inputs and outputs.

    The best of three, entry by entry: how far the ranges of both reach past one another; errors
    passed on from layer to layer (`chain_bound`) along a match of the neurons; and, for one hidden
    layer, the certificate of the difference over the neurons of both.

    Args:
        original: Layers, first to last.
        other: Likewise, of any widths and depth inside.
        space: The queries.
        effort: Seconds for each of the certificates.
        generator: For the probes that match neurons.

    Returns:
        The bounds.

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.elementwise import identity
        >>> from coreprune.core.query_set import ball
        >>> def chain(points, weights):
        ...     return [Link(points=points, bias=torch.zeros(len(points)), activation=relu()),
        ...         Link(points=weights, bias=torch.zeros(1), activation=identity())]
        >>> original, other = chain(torch.eye(2), torch.ones(1, 2)), chain(
        ...     torch.tensor([[1.0, 0.0]]), torch.ones(1, 1))
        >>> found = pair_bound(original, other, ball(1.0, dimension=2), generator=Generator())
        >>> round(found.bound.item(), 3)
        1.0
    """
    low, high = chain_range(original, space, effort=effort)
    other_range = chain_range(other, space, effort=effort)
    stages = matched(original, other, space, generator=generator)
    bounds = [apart((low, high), other_range)]
    layers: tuple[Tensor, ...] | None = None
    if stages is not None:
        found = chain_bound(stages, space, effort=effort)
        bounds.append(found.bound)
        layers = found.layers
    exact_first = layers is not None and not layers[0].any()
    if len(original) == len(other) == 2 and not exact_first:
        sums = difference(_sums(original), _sums(other))
        bounds.append(certificate(sums, space, effort=effort).bound)
    bound = torch.stack(bounds).amin(0)
    if layers is not None:
        layers = (*layers[:-1], bound)
    match = (
        None
        if stages is None
        else tuple(_rows(stage, swapped=is_wider(other, original)) for stage in stages)
    )
    return PairBound(bound=bound, low=low, high=high, layers=layers, match=match)


def apart(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """How far values of two intervals can be from each other. Shape (k,)."""
    return torch.maximum(one[1] - other[0], other[1] - one[0]).clamp_min(0)


def _rows(stage: Stage, *, swapped: bool) -> tuple[Tensor, Tensor]:
    every = torch.arange(len(stage.kept))
    return (every, stage.kept) if swapped else (stage.kept, every)


def _sums(links: Sequence[Link]) -> NeuronSums:
    hidden, last = links
    block = Block(
        points=hidden.points,
        bias=hidden.bias,
        activation=hidden.activation,
        weights=last.points,
    )
    return neuron_sums([block], last.bias)
