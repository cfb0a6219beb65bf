"""For every query: how far a cut feed-forward block is from the original."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.certificate import certificate
from coreprune.core.feed_forward import FeedForward
from coreprune.core.gated_certificate import gated_certificate
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import QuerySet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockCertificate:
    """Proven for every query of the space, in exact arithmetic on the weights given.

    Attributes:
        bound: No output changes by more. Shape (k,).
        norm: Nor do all together, in Euclidean norm.
    """

    bound: Tensor
    norm: float


def block_certificate(
    block: FeedForward, *, indices: Tensor, cut: FeedForward, space: QuerySet
) -> BlockCertificate:
    """Bound original minus cut over all queries.

    Args:
        block: The original in float64.
        indices: The neurons kept; their rows are those of the original. Shape (m,).
        cut: The cut block.
        space: All queries.

    Returns:
        The certificate; for wide blocks the bounds of all outputs at once.

    Raises:
        ArgumentError: When an activation overflows on the space.
    """
    gamma = block.weights.clone()
    gamma[:, indices] -= cut.weights
    offsets = gamma.new_zeros(len(gamma))
    if block.offset is not None and cut.offset is not None:
        offsets = block.offset - cut.offset
    if (gate := block.gate) is not None:
        gated = gated_certificate(gate, gamma, offsets, space=space)
        return BlockCertificate(bound=gated.bound, norm=gated.norm)
    neurons = Block(
        points=block.points, bias=block.bias, activation=block.activation, weights=gamma
    )
    plain = certificate(neuron_sums([neurons], offsets), space, effort=0.0)
    return BlockCertificate(bound=plain.bound, norm=plain.norm)


def trained_certificate(
    block: FeedForward, *, trained: FeedForward, space: QuerySet
) -> BlockCertificate:
    """Bound original minus trained over all queries, whatever training did to the neurons.

    The difference is one block of the neurons of both, the trained ones read with −W.

    Args:
        block: The original in float64.
        trained: What a cut block became; it reads the same queries.
        space: All queries.

    Returns:
        The certificate. Nothing cancels, so it is wider than `block_certificate` of kept neurons.

    Raises:
        ArgumentError: As `block_certificate`.
    """
    both = FeedForward(
        points=torch.cat([block.points, trained.points]),
        bias=torch.cat([block.bias, trained.bias]),
        activation=block.activation,
        weights=torch.cat([block.weights, -trained.weights], dim=1),
        offset=block.offset,
        up=_joined(block.up, trained.up),
        up_bias=_joined(block.up_bias, trained.up_bias),
    )
    nothing = replace(trained, weights=trained.weights[:, :0])
    indices = torch.zeros(0, dtype=torch.int64)
    return block_certificate(both, indices=indices, cut=nothing, space=space)


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else torch.cat([one, other])
