"""A group's numbers as the core wants them: points, biases, activations, outgoing weights."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation, affine, compose
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Add, Convolution, Elementwise, Multiply, Norm, Parameters, Pool

NORM_ROUNDINGS = 16
"""A normalisation rounds each of its terms at most so often: eight operations from the statistics
to the sum, and as many in float64 where it is folded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """A hidden layer as one consumer reads it: Σ_j w_ij φ_j(p_j·x + b_j).

    Of a convolution x is the patch that it reads, and every tap of the consumer an output of its
    own. What lies between the two and is no function of each entry counts by its range: pools leave
    it as it is, a depthwise kernel enlarges it to Σ|kernel| times itself, gates are taken for 1.

    Attributes:
        points: p_j, a leading normalisation folded in. Shape (n, d).
        bias: b_j, likewise. Shape (n,).
        activation: φ, all passengers after that.
        weights: w_ij, taps of one output below one another. Shape (k taps, n).
        bias_size: The magnitudes that b_j is the sum of. Shape (n,).
        roundings: Of a term of p_j·x + b_j by what was folded in, at most.
        seen: The mean and the variance of p_j·x + b_j over the data, where a leading normalisation
            with running statistics tells them. Shapes (n,).
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    weights: Tensor
    bias_size: Tensor
    roundings: int = 0
    seen: tuple[Tensor, Tensor] | None = None


def layer_of(group: Group, consumer: Consumer, parameters: Parameters) -> Layer:
    """Read a consumer's view of a group off the parameters.

    Args:
        group: The group.
        consumer: One of its consumers.
        parameters: The tensors as they stand.

    Returns:
        The layer; points and weights share memory with the parameters where nothing was folded.
    """
    points = parameters[group.producer.weight].flatten(1)
    bias = (
        points.new_zeros(len(points))
        if group.producer.bias is None
        else parameters[group.producer.bias]
    )
    rest = [one for one in consumer.passengers if not isinstance(one, Pool | Add | Multiply)]
    seen = None
    size, roundings = bias.abs(), 0
    while rest and isinstance(norm := rest[0], Norm):
        scale, shift = scale_and_shift(norm, parameters)
        if seen is None:
            mean, variance = parameters[norm.mean].double(), parameters[norm.variance].double()
            seen = mean, variance
        seen = scale * seen[0] + shift, scale.square() * seen[1]
        points = scale[:, None] * points
        bias = scale * bias + shift
        size = scale.abs() * size + shift_size(norm, parameters)
        roundings += NORM_ROUNDINGS
        rest = rest[1:]
    return Layer(
        points=points,
        bias=bias,
        activation=compose(*(activation_of(passenger, parameters) for passenger in rest)),
        weights=by_tap(parameters[consumer.affine.weight].to(points.device), consumer.taps),
        bias_size=size,
        roundings=roundings,
        seen=seen,
    )


def by_tap(weights: Tensor, taps: int) -> Tensor:
    """A consumer's weight with every tap an output of its own, rows in order of output and tap.

    Args:
        weights: Of shape (k, n, *kernel), or (k, n · taps) with the taps of a neuron side by side.
        taps: How many there are.

    Returns:
        Shape (k · taps, n).
    """
    apart = weights.reshape(len(weights), -1, taps)
    return weights if weights.ndim == 2 and taps == 1 else apart.mT.flatten(0, 1)


def by_neuron(weights: Tensor, taps: int) -> Tensor:
    """The inverse of `by_tap`: shape (k · taps, n) to (k, n · taps)."""
    return weights if taps == 1 else weights.reshape(-1, taps, weights.shape[1]).mT.flatten(1)


def activation_of(
    passenger: Norm | Elementwise | Convolution, parameters: Parameters
) -> Activation:
    """A passenger as a function of each neuron."""
    if isinstance(passenger, Norm):
        line = affine(*scale_and_shift(passenger, parameters))
        return replace(line, addends=shift_size(passenger, parameters))
    if isinstance(passenger, Convolution):
        kernels = parameters[passenger.weight].flatten(1).double()
        bias = 0.0 if passenger.bias is None else parameters[passenger.bias].double()
        return affine(kernels.abs().sum(1), bias)
    return passenger.build(*(parameters[name] for name in passenger.parameters))


def scale_and_shift(norm: Norm, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """The map z ↦ scale·z + shift that a norm with frozen statistics is, in float64."""
    mean, variance = parameters[norm.mean].double(), parameters[norm.variance].double()
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * parameters[norm.weight].double()
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + parameters[norm.bias].double()
    return scale, shift


def shift_size(norm: Norm, parameters: Parameters) -> Tensor:
    """|mean·scale| + |bias|: the magnitudes that the shift is the sum of. Shape (n,)."""
    scale, _ = scale_and_shift(norm, parameters)
    size = (parameters[norm.mean].double() * scale).abs()
    return size if norm.bias is None else size + parameters[norm.bias].double().abs()
