"""k weighted sums of neurons, such as a layer's readers or the difference of two networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.subset import WeightedSubset
from coreprune.errors import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Neurons φ_j(p_j·x + b_j) that share an activation, and what every sum reads them with.

    Attributes:
        points: p_j. Shape (n, d).
        bias: b_j. Shape (n,).
        activation: φ, with parameters for all neurons or one each.
        weights: γ_ij. Shape (k, n).
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    weights: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeuronSums:
    """r_i(x) = Σ_j γ_ij φ_j(p_j·x + b_j) + γ_i0 over the neurons of all blocks.

    Attributes:
        blocks: The neurons.
        offsets: γ_i0. Shape (k,).
    """

    blocks: tuple[Block, ...]
    offsets: Tensor


def neuron_sums(blocks: Sequence[Block], offsets: Tensor) -> NeuronSums:
    """The sums in float64, every shape and value checked.

    Args:
        blocks: At least one.
        offsets: γ_i0. Shape (k,).

    Returns:
        The sums.

    Raises:
        ArgumentError: When a shape does not fit or an entry is NaN or infinite.

    Example:
        >>> from coreprune.core.activations import relu
        >>> block = Block(points=torch.eye(2), bias=torch.zeros(2), activation=relu(),
        ...     weights=torch.tensor([[1.0, -1.0]]))
        >>> evaluate(neuron_sums([block], torch.zeros(1)), torch.tensor([[3.0, 1.0]])).tolist()
        [[2.0]]
    """
    if not blocks:
        raise ArgumentError("blocks must hold at least one block of neurons, got none")
    d, k = blocks[0].points.shape[-1], len(offsets)
    for number, block in enumerate(blocks):
        n = len(block.points)
        shapes = (block.points.shape, block.bias.shape, block.weights.shape)
        if shapes != ((n, d), (n,), (k, n)):
            raise ArgumentError(
                f"block {number} must have points (n, {d}), bias (n,) and weights ({k}, n), got "
                f"{', '.join(str(tuple(shape)) for shape in shapes)}"
            )
    tensors = [offsets, *(t for b in blocks for t in (b.points, b.bias, b.weights))]
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise ArgumentError("points, bias, weights and offsets must be finite, got NaN or infinite")
    wide = tuple(
        replace(
            block,
            points=block.points.double(),
            bias=block.bias.double(),
            weights=block.weights.double(),
        )
        for block in blocks
    )
    return NeuronSums(blocks=wide, offsets=offsets.double())


def coreset_difference(
    points: Tensor, weights: Tensor, subset: WeightedSubset, *, activation: Activation, bias: Tensor
) -> NeuronSums:
    """Original minus coreset: γ_ij = w_ij − u_ij with u zero off S, γ_i0 = −(bias shift).

    Args:
        points: p_j. Shape (n, d).
        weights: w_ij as stored. Shape (k, n).
        subset: The coreset with its u_ij as stored.
        activation: φ.
        bias: b_j. Shape (n,).

    Returns:
        The sums, in float64.
    """
    gamma = weights.double().clone()
    gamma[:, subset.indices] -= subset.weights.double()
    block = Block(points=points, bias=bias, activation=activation, weights=gamma)
    return neuron_sums([block], -subset.bias_shift.double())


def difference(original: NeuronSums, other: NeuronSums) -> NeuronSums:
    """Original minus other over the neurons of both.

    Args:
        original: k sums.
        other: k sums of neurons that read the same queries.

    Returns:
        The sums, in float64.
    """
    negated = [replace(block, weights=-block.weights) for block in other.blocks]
    return neuron_sums([*original.blocks, *negated], original.offsets - other.offsets)


def evaluate(sums: NeuronSums, x: Tensor) -> Tensor:
    """R_i(x) in the precision of x. Shape (..., d) to (..., k)."""
    total = sums.offsets.to(x)
    for block in sums.blocks:
        h = block.activation(x @ block.points.to(x).T + block.bias.to(x))
        total = total + h @ block.weights.to(x).T
    return total
