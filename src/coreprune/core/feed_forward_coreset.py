"""The coreset of a feed-forward block, whichever method chooses it."""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from coreprune.core.coreset import Method, select
from coreprune.core.feed_forward import FeedForward
from coreprune.core.moments import Moments, uncentred
from coreprune.core.query_set import QuerySet
from coreprune.core.reconstruction import expected_error
from coreprune.core.rounding import interval
from coreprune.core.selection.paths import Reader, follows_a_path, subsets_of
from coreprune.core.subset import WeightedSubset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockCoreset:
    """The neurons of a block that stay.

    Attributes:
        subset: Their indices, their new outgoing weights in the dtype asked for, and what the
            reader's bias gains; zero where it has none.
        expected_error: E‖y − ŷ‖² under the law, of the weights as stored.
        output_variance: What it is a share of: E‖y‖² of the original, less the constant part where
            there is a bias to hold that.
    """

    subset: WeightedSubset
    expected_error: float
    output_variance: float


def block_coreset(  # noqa: PLR0913 (how, from what, and for what storage)
    block: FeedForward,
    *,
    num_neurons: int,
    method: Method,
    moments: Moments,
    space: QuerySet,
    dtype: torch.dtype,
    generator: Generator,
) -> BlockCoreset:
    """Choose m neurons of a block and what the reader makes of them.

    Args:
        block: The block in float64.
        num_neurons: m between 1 and n.
        method: How to choose.
        moments: Of the neurons under the law.
        space: All queries, for methods that know sensitivities.
        dtype: What the outgoing weights are stored in; the bias makes up for their rounding.
        generator: The source of randomness, on the CPU.

    Returns:
        The coreset.
    """
    free = block.offset is not None
    seen = moments if free else uncentred(moments)
    del moments  # n² numbers, which nobody reads again
    if follows_a_path(method):
        reader = Reader(weights=block.weights, moments=seen)
        (subset,) = subsets_of(method, [reader], num_neurons=num_neurons)
    else:
        subset = select(
            method,
            _points(block),
            block.weights,
            sensitivities=sensitivities(block, space),
            num_neurons=num_neurons,
            generator=generator,
        )
    rounded = subset.weights.to(dtype)
    shift = subset.bias_shift
    if free and follows_a_path(method) and num_neurons < block.weights.shape[1]:
        shift = block.weights @ seen.mean - rounded.double() @ seen.mean[subset.indices]
    stored = replace(subset, weights=rounded, bias_shift=shift)
    variance = ((block.weights @ seen.covariance) * block.weights).sum()
    return BlockCoreset(
        subset=stored,
        expected_error=expected_error(block.weights, seen, stored),
        output_variance=float(variance),
    )


def sensitivities(block: FeedForward, space: QuerySet) -> Tensor:
    """The most that a neuron can carry: max_i |w_ij| · sup |φ(a_j)| · sup |u_j|. Shape (n,)."""
    s: Tensor = block.weights.abs().amax(0)
    s = s * block.activation.supremum(*interval(block.points, block.bias, space))
    if block.up is not None and block.up_bias is not None:
        low, high = interval(block.up, block.up_bias, space)
        s = s * torch.maximum(low.abs(), high.abs())
    return s


def _points(block: FeedForward) -> Tensor:
    """What a heuristic ranks: incoming rows, of gated neurons the product of their norms."""
    if block.up is None:
        return block.points
    norms: Tensor = torch.linalg.vector_norm(block.points, dim=1)
    norms = norms * torch.linalg.vector_norm(block.up, dim=1)
    return norms[:, None]
