"""A feed-forward block: neurons between two layers, plain or gated."""

from dataclasses import dataclass

from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.gated_moments import Gate, gated_moments
from coreprune.core.moments import Isotropic, Moments, activation_moments, affine_moments


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeedForward:
    """y = W h + c with h = φ(P x + b), or h = φ(P x + b) ⊙ (U x + u) where it is gated.

    Attributes:
        points: P. Shape (n, d).
        bias: b. Shape (n,).
        activation: φ.
        weights: W. Shape (k, n).
        offset: c; None where the reader has none to change. Shape (k,).
        up: U, None for plain neurons. Shape (n, d).
        up_bias: u, likewise. Shape (n,).
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    weights: Tensor
    offset: Tensor | None = None
    up: Tensor | None = None
    up_bias: Tensor | None = None

    @property
    def gate(self) -> Gate | None:
        """The layers of gated neurons, None for plain ones."""
        if self.up is None or self.up_bias is None:
            return None
        return Gate(
            points=self.points,
            bias=self.bias,
            up=self.up,
            up_bias=self.up_bias,
            activation=self.activation,
        )


def neurons(block: FeedForward, x: Tensor) -> Tensor:
    """What the neurons give. Shape (..., d) to (..., n).

    Example:
        >>> import torch
        >>> from coreprune.core.activations import relu
        >>> one = torch.ones(1, 1)
        >>> block = FeedForward(points=one, bias=torch.zeros(1), activation=relu(), weights=one,
        ...     up=-one, up_bias=torch.zeros(1))
        >>> neurons(block, torch.tensor([[3.0]])).tolist()
        [[-9.0]]
    """
    h = block.activation(x @ block.points.T + block.bias)
    if block.up is not None and block.up_bias is not None:
        h = h * (x @ block.up.T + block.up_bias)
    return h


def outputs(block: FeedForward, x: Tensor) -> Tensor:
    """What the block gives. Shape (..., d) to (..., k)."""
    y = neurons(block, x) @ block.weights.T
    return y if block.offset is None else y + block.offset


def neuron_moments(block: FeedForward, inputs: Moments | Isotropic) -> Moments:
    """The moments of the neurons under a Gaussian law of the inputs, in closed form."""
    if (gate := block.gate) is not None:
        return gated_moments(gate, inputs)
    return activation_moments(affine_moments(block.points, block.bias, inputs), block.activation)
