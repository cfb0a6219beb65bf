"""For every query: how far a cut feed-forward block is from the original."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.activations import leaky_relu
from coreprune.core.certificate import Certificate, certificate
from coreprune.core.feed_forward import FeedForward
from coreprune.core.gated_certificate import gated_certificate
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import QuerySet

_UP = 1 + 4 * torch.finfo(torch.float64).eps
"""A factor that makes up for the rounding of a few products and sums of positive numbers."""


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
    block: FeedForward, *, indices: Tensor, trained: FeedForward, space: QuerySet
) -> BlockCertificate:
    """Bound original minus trained over all queries, whatever training did to the neurons.

    The smaller of two bounds. One takes the difference as a block of the neurons of both, the
    trained ones read with −U. The other, for plain neurons with Lipschitz constant L, parts it:

        W φ(z) − U φ(z') = (W φ(z) − U φ(z_S)) + U (φ(z_S) − φ(z')),
        |Σ_j u_ij (φ(z_j) − φ(z'_j))| ≤ L Σ_j |u_ij| |z_j − z'_j|

    Args:
        block: The original in float64.
        indices: The neurons that the trained ones were before training. Shape (m,).
        trained: What the cut block became; it reads the same queries.
        space: All queries.

    Returns:
        The certificate.

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
    none = torch.zeros(0, dtype=torch.int64)
    whole = block_certificate(both, indices=none, cut=nothing, space=space)
    slope = torch.as_tensor(block.activation.lipschitz, dtype=torch.float64)
    if block.up is not None or slope.ndim or not slope.isfinite():
        return whole
    as_cut = replace(trained, points=block.points[indices], bias=block.bias[indices])
    first = block_certificate(block, indices=indices, cut=as_cut, space=space)
    moves = _moves(as_cut, trained, float(slope), space=space)
    return BlockCertificate(
        bound=torch.minimum(whole.bound, (first.bound + moves.bound) * _UP),
        norm=min(whole.norm, (first.norm + moves.norm) * _UP),
    )


def _moves(
    before: FeedForward, after: FeedForward, slope: float, *, space: QuerySet
) -> Certificate:
    """Bound L Σ_j |u_ij| |z_j − z'_j|, the rounding of p_j − p'_j and b_j − b'_j included."""
    points, bias = before.points - after.points, before.bias - after.bias
    weights = slope * _UP * after.weights.abs()
    axes = space.axes.abs() if space.axes.ndim == 1 else torch.linalg.vector_norm(space.axes, dim=1)
    size = points.abs() @ (space.centre.abs() + axes) + bias.abs()
    neurons = Block(points=points, bias=bias, activation=leaky_relu(-1.0), weights=weights)
    slack = torch.finfo(torch.float64).eps * (weights @ size)
    sums = neuron_sums([neurons], torch.zeros(len(weights), dtype=torch.float64))
    return certificate(sums, space, effort=0.0, slack=slack)


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else torch.cat([one, other])
