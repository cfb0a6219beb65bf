"""Neutral operations over named values: what a model computes, free of any framework.

A value and a parameter are known by their names. The last axis of an `Affine`'s input and output
holds the neurons, axis 1 of a `Convolution`'s the channels; parameters are those of
`Graph.parameters`, shaped as the comments say.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from coreprune.core.elementwise import Activation

Parameters = Mapping[str, Tensor]
"""Tensors by name; tensors that are one and the same have one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """output = input · weightᵀ + bias on the last axis: weight of shape (n, d), bias of (n,)."""

    name: str
    input: str
    output: str
    weight: str
    bias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """Cross-correlation of the axes behind the channels, zeros around its input.

    The weight has the shape (n, d / groups, *kernel), the bias (n,).

    Attributes:
        kernel: The extent of a patch on each axis.
        stride: The step from one patch to the next.
        padding: Zeros before and after each axis.
        dilation: The step from one tap to the next.
        groups: Into how many parts of equal size input and output channels are divided.
    """

    name: str
    input: str
    output: str
    weight: str
    bias: str | None = None
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def taps(self) -> int:
        """Positions in a patch."""
        return math.prod(self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """Normalisation of axis 1 with frozen statistics, then scale and shift, each of shape (n,)."""

    name: str
    input: str
    output: str
    mean: str
    variance: str
    weight: str | None = None
    bias: str | None = None
    eps: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise:
    """output = φ(input); φ is built from the parameters, which have one entry or (n,) on axis 1."""

    name: str
    input: str
    output: str
    build: Callable[..., Activation]
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiply:
    """The product of values."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """The sum of values."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Values side by side along an axis, counted from the front."""

    inputs: tuple[str, ...]
    output: str
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape:
    """The same entries in the same order under another shape."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permute:
    """The same entries with axes exchanged: axis i of the output is axis order[i] of the input."""

    input: str
    output: str
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Values at other positions, everything off these axes treated alike: pools, pads, resizes.

    What it gives is never outside the range of what it reads and zero.

    Attributes:
        operator: What a person calls it.
        axes: The axes along which positions are mixed, chosen or added.
        gone: Those of them that the output lacks.
        is_linear: Whether it gives weighted sums, not the largest of several values.
        part: Where it takes one of several parts of equal size of its only axis: which, and of how
            many; None for everything else.
    """

    input: str
    output: str
    operator: str
    axes: tuple[int, ...]
    gone: tuple[int, ...] = ()
    is_linear: bool = True
    part: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Anything else: neurons do not pass. `operator` is what a person calls it."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...] = ()


Node = (
    Affine
    | Convolution
    | Norm
    | Elementwise
    | Multiply
    | Add
    | Concat
    | Reshape
    | Permute
    | Pool
    | Opaque
)
_Joint = Multiply | Add | Concat | Opaque
"""What reads several values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A model as nodes in the order of execution.

    Attributes:
        nodes: The operations.
        inputs: The values that enter the network.
        outputs: The values that leave the network.
        handed_on: Those of them that code reads which could not be lowered.
        shapes: Of every value, for the example inputs.
        parameters: Weights, biases and statistics by name.
        notes: What could not be lowered and why, for people.
    """

    nodes: tuple[Node, ...]
    inputs: frozenset[str]
    outputs: frozenset[str]
    shapes: Mapping[str, tuple[int, ...]]
    parameters: Parameters
    notes: tuple[str, ...] = field(default=())
    handed_on: frozenset[str] = frozenset()


def inputs_of(node: Node) -> tuple[str, ...]:
    """The values that a node reads."""
    return node.inputs if isinstance(node, _Joint) else (node.input,)


def parameters_of(node: Node) -> tuple[str, ...]:
    """The names of the parameters that a node reads."""
    match node:
        case Affine() | Convolution():
            return (node.weight,) if node.bias is None else (node.weight, node.bias)
        case Norm():
            names = (node.weight, node.bias, node.mean, node.variance)
            return tuple(name for name in names if name is not None)
        case Elementwise() | Opaque():
            return node.parameters
    return ()
