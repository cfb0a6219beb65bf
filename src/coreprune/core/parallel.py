"""Which neurons a layer's other neurons stand for: duplicates, and multiples of one another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from coreprune.core.elementwise import Activation

ROUNDINGS = 2
"""A multiple of a row, both stored after rounding, is off by so many eps an entry at the most:
half an eps in each of two entries, and as much again in the entries whose ratio is the factor."""

PROJECTIONS = 16
"""Directions in which rows are compared before all their entries are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """A layer as one reader reads it: Σ_j w_ij φ_j(p_j·x + b_j) + c_i.

    Attributes:
        points: p_j. Shape (n, d).
        bias: b_j. Shape (n,).
        activation: φ.
        weights: w_ij, as stored. Shape (k, n).
        parameters: What makes φ_j differ from neuron to neuron: equal rows mean equal functions.
            Shape (n, p); p is 0 where all neurons have one function.
        free_bias: Whether c is the reader's own, so that it may change.
        eps: The rounding of the type that points and biases are stored in.
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    weights: Tensor
    parameters: Tensor
    free_bias: bool
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Multiple:
    """Neuron j is c times neuron i plus a constant, in each of the readings.

    Attributes:
        neuron: j.
        of: i.
        factors: c by reading; φ_j(p_j·x + b_j) = c φ_i(p_i·x + b_i) + constant.
        constants: The constants by reading.
    """

    neuron: int
    of: int
    factors: tuple[float, ...]
    constants: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Neurons as rows of which one may be a multiple of another.

    Attributes:
        entries: What must be proportional. Shape (n, e).
        exact: What must be equal. Shape (n, p).
        constants: A constant a neuron that is added to it. Shape (n,).
        factor: Which factors leave the activation what it is.
        free_bias: Whether differences of constants have somewhere to go.
        slack: The relative difference in which entries count as equal.
    """

    entries: Tensor
    exact: Tensor
    constants: Tensor
    factor: Literal["one", "positive", "any"]
    free_bias: bool
    slack: float


def multiples(readings: Sequence[Reading], among: Tensor) -> Iterator[Multiple]:
    """Find the neurons that are multiples of another one, of the largest of their kind.

        ReLU, leaky ReLU, PReLU:   (p_j, b_j) = c (p_i, b_i) with c > 0,  φ_i = φ_j
        straight lines a_j z + o_j:  a_j p_j = c a_i p_i with any c, constants apart
        every other φ:             (p_j, b_j) = (p_i, b_i),  φ_i = φ_j

    The last to the bit. In the others an entry of row j counts as equal when it differs by at most
    2 eps of its own size, so that what changes is Σ_l 2 eps |p_jl x_l|, which is no more than what
    rounding moves p_j·x by in the stored type.

    Args:
        readings: The layer as each of its readers sees it.
        among: The neurons to compare. Shape (m,).

    Yields:
        Each such neuron once; what it is a multiple of is none itself.
    """
    views = [_rows(reading) for reading in readings]
    keys = torch.cat([_keys(view) for view in views], dim=1)
    near = torch.cat([keys.new_full((PROJECTIONS,), _nearness(view)) for view in views])
    norms = torch.linalg.vector_norm(views[0].entries[among], dim=1)
    order = among[torch.sort(norms, descending=True, stable=True).indices]
    while len(order) > 1:
        first, rest = order[0], order[1:]
        close = ((keys[rest] - keys[first]).abs() <= near).all(1)
        stay = torch.ones_like(close)
        for place in close.nonzero().flatten().tolist():
            found = [_fit(view, int(rest[place]), int(first)) for view in views]
            pairs = [pair for pair in found if pair is not None]
            if len(pairs) == len(views):
                stay[place] = False
                factors, constants = zip(*pairs, strict=True)
                yield Multiple(
                    neuron=int(rest[place]), of=int(first), factors=factors, constants=constants
                )
        order = rest[stay]


def _rows(reading: Reading) -> _Rows:
    points, bias = reading.points.double(), reading.bias.double()
    both, nothing = torch.cat([points, bias[:, None]], dim=1), torch.zeros_like(bias)
    parameters = reading.parameters.to(points)
    slack = ROUNDINGS * reading.eps * (1 + reading.eps)
    line = _line(reading.activation, bias)
    if line is None:
        return _Rows(
            entries=both,
            exact=parameters,
            constants=nothing,
            factor="one",
            free_bias=reading.free_bias,
            slack=0.0,
        )
    slope, offset, bend = line
    if not bend.any():
        return _Rows(
            entries=slope[:, None] * points,
            exact=both[:, :0],
            constants=slope * bias + offset,
            factor="any",
            free_bias=reading.free_bias,
            slack=slack,
        )
    return _Rows(
        entries=both,
        exact=torch.stack([slope, bend], dim=1),
        constants=nothing,
        factor="positive",
        free_bias=reading.free_bias,
        slack=slack,
    )


def _line(activation: Activation, bias: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """a, o and κ with φ_j(z) = a_j z + o_j + κ_j |z|, where φ is that and o or κ is 0; (n,)."""
    envelope = activation.envelope
    if envelope is None:
        return None
    bend = torch.as_tensor(envelope.scale, dtype=torch.float64)
    if bend.any() and any(torch.as_tensor(v).any() for v in (envelope.gap, envelope.offset)):
        return None
    slope, offset = (
        torch.as_tensor(value, dtype=torch.float64, device=bias.device)
        for value in (envelope.slope, envelope.offset)
    )
    return slope.expand_as(bias), offset.expand_as(bias), bend.to(bias).expand_as(bias)


def _keys(rows: _Rows) -> Tensor:
    """The rows' directions, seen from a few unit vectors. Shape (n, PROJECTIONS)."""
    entries = rows.entries
    seen = torch.randn(
        entries.shape[1],
        PROJECTIONS,
        dtype=torch.float64,
        generator=Generator().manual_seed(0),  # which vectors does not matter: all are compared
    )
    seen = seen / torch.linalg.vector_norm(seen, dim=0)
    norms = torch.linalg.vector_norm(entries, dim=1, keepdim=True)
    keys: Tensor = (entries / torch.where(norms > 0, norms, 1.0)) @ seen.to(entries.device)
    return keys.abs() if rows.factor == "any" else keys


def _nearness(rows: _Rows) -> float:
    """How far the keys of two proportional rows can be apart: slack moves row and norm."""
    return 3 * rows.slack + 1e-13 * rows.entries.shape[1]


def _fit(rows: _Rows, j: int, i: int) -> tuple[float, float] | None:
    """The c and the constant with which neuron j is a multiple of neuron i, or None."""
    row, other = rows.entries[j], rows.entries[i]
    if not torch.equal(rows.exact[j], rows.exact[i]):
        return None
    factor = 1.0
    if not torch.equal(row, other) and len(other):
        largest = other.abs().argmax()
        factor = float(row[largest] / other[largest])
    if factor != 1 and (rows.factor == "one" or (rows.factor == "positive" and factor < 0)):
        return None
    if not factor or not ((row - factor * other).abs() <= rows.slack * row.abs()).all():
        return None
    constant = float(rows.constants[j] - factor * rows.constants[i])
    if rows.free_bias:
        return factor, constant
    negligible = abs(constant) <= rows.slack * abs(float(rows.constants[j]))
    return (factor, 0.0) if negligible else None
