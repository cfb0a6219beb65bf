"""An element-wise function with its range on an interval, Lipschitz constant and envelope.

A parameter may be a number or, per neuron, a tensor of
shape (n,) that broadcasts against the last axis.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.errors import ArgumentError

Number = float | Tensor
"""One value for all neurons, or a tensor of shape (n,) with one value each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """A straight line and a bounded remainder: φ(z) = slope·z + offset + scale·e(z).

    The remainder satisfies max(−floor, |z| − gap) ≤ e(z) ≤ min(|z|, ceiling) for every z; `scale`
    is signed.

    Attributes:
        slope: a_j.
        offset: o_j.
        scale: κ_j.
        floor: τ_j ≥ 0.
        ceiling: the least upper bound of e when that is finite, else infinity.
        gap: an upper bound of |z| − e(z) when that is finite, else infinity.
    """

    slope: Number
    offset: Number
    scale: Number
    floor: Number = 0.0
    ceiling: Number = math.inf
    gap: Number = math.inf


UNIT_SCALE = (-16.0, -4.0, 0.0, 4.0, 16.0)
"""Breakpoints of a function that bends only near 0, over lengths of about 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activation:
    """An element-wise function with what the proofs need to know of it.

    Attributes:
        name: The field's name for it.
        function: φ on a tensor whose last axis holds the neurons.
        extent: (low, high) ↦ the least and the greatest value of φ on [low, high], exact for the
            family in `activations`.
        lipschitz: An L with |φ(y) − φ(z)| ≤ L|y − z|, the smallest for the family in
            `activations`; infinite for a step.
        envelope: The line and remainder, or None when there is none.
        breakpoints: Where integrals of φ are split: every kink and jump, and points close enough
            to one another where φ bends for a polynomial to follow it from one to the next.
        stages: Of a chain of functions its members, the first applied first; each rounds.
        addends: Magnitudes that evaluating φ adds up beside those of z and φ(z), and that may
            cancel: they round too.

    Example:
        >>> identity()(torch.zeros(1)).item()
        0.0
    """

    name: str
    function: Callable[[Tensor], Tensor]
    extent: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    lipschitz: Number
    envelope: Envelope | None = None
    breakpoints: tuple[Number, ...] = UNIT_SCALE
    stages: tuple["Activation", ...] = ()
    addends: Number = 0.0

    def __call__(self, z: Tensor) -> Tensor:
        """φ(z). Shape (..., n) in and out."""
        return self.function(z)

    def supremum(self, low: Tensor, high: Tensor) -> Tensor:
        """Sup |φ| on [low, high], neuron by neuron. Shape (n,).

        Example:
            >>> affine(-2.0, 1.0).supremum(torch.tensor([-1.0]), torch.tensor([3.0])).item()
            5.0
        """
        least, greatest = self.extent(low, high)
        return torch.maximum(least.abs(), greatest.abs())


def _between_turns(
    function: Callable[[Tensor], Tensor], turns: tuple[float, ...] = ()
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The extent of a function that is monotone between its turning points."""

    def extent(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        values = [function(low), function(high)]
        for turn in turns:
            inside = torch.full_like(low, turn).clamp(low, high)
            values.append(function(inside))
        candidates = torch.stack(values)
        return candidates.amin(0), candidates.amax(0)

    return extent


def monotone_between(
    name: str,
    function: Callable[[Tensor], Tensor],
    *,
    lipschitz: Number,
    envelope: Envelope | None,
    turns: tuple[float, ...] = (),
    breakpoints: tuple[float, ...] = UNIT_SCALE,
) -> Activation:
    """An activation that is monotone between its turning points, from which its range follows."""
    return Activation(
        name=name,
        function=function,
        extent=_between_turns(function, turns),
        lipschitz=lipschitz,
        envelope=envelope,
        breakpoints=breakpoints,
    )


def identity() -> Activation:
    """φ(z) = z."""
    envelope = Envelope(slope=1.0, offset=0.0, scale=0.0, gap=0.0)
    return monotone_between("identity", _itself, lipschitz=1.0, envelope=envelope, breakpoints=())


def _itself(z: Tensor) -> Tensor:
    return z


def affine(scale: Number, shift: Number) -> Activation:
    """φ_j(z) = scale_j·z + shift_j: a frozen normalisation, or a constant factor."""

    def function(z: Tensor) -> Tensor:
        return z * _like(scale, z) + _like(shift, z)

    lipschitz = scale.abs() if isinstance(scale, Tensor) else abs(scale)
    envelope = Envelope(slope=scale, offset=shift, scale=0.0, gap=0.0)
    return monotone_between(
        "affine", function, lipschitz=lipschitz, envelope=envelope, breakpoints=()
    )


def _like(value: Number, z: Tensor) -> Number:
    return value.to(z) if isinstance(value, Tensor) else value


def custom(
    function: Callable[[Tensor], Tensor],
    *,
    lipschitz: float,
    monotone: bool,
    name: str = "custom",
) -> Activation:
    """A function of the user's, with what the user declares of it.

    Args:
        function: φ, element-wise and deterministic.
        lipschitz: An L with |φ(y) − φ(z)| ≤ L|y − z| for all y, z; infinity when there is none.
        monotone: Whether φ never turns. If so its range on an interval is exact; otherwise it is
            bounded through `lipschitz`.
        name: What records call it.

    Returns:
        The activation, without an envelope.

    Raises:
        ArgumentError: When `lipschitz` is negative or NaN, or infinite without `monotone`.

    Example:
        >>> square_root = custom(lambda z: (1 + z * z).sqrt(), lipschitz=1.0, monotone=False)
        >>> square_root.supremum(torch.tensor([-1.0]), torch.tensor([1.0])).item()
        2.414...
    """
    if not lipschitz >= 0 or (math.isinf(lipschitz) and not monotone):
        raise ArgumentError(
            f"lipschitz must be a number ≥ 0, finite unless monotone=True, got {lipschitz}"
        )

    def bounded(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        ends, spread = function(low) + function(high), lipschitz * (high - low)
        return (ends - spread) / 2, (ends + spread) / 2

    extent = _between_turns(function) if monotone else bounded
    return Activation(name=name, function=function, extent=extent, lipschitz=lipschitz)


def compose(*stages: Activation) -> Activation:
    """The stages one after the other, the first applied first; none gives the identity.

    The range is exact when every stage but the last is continuous, else an upper bound. A chain of
    more than one stage keeps its envelope only if the others are identities.

    Example:
        >>> compose(affine(2.0, 0.0), affine(-2.0, 1.0))(torch.tensor([3.0])).item()
        -11.0
    """
    telling = [stage for stage in stages if stage.function is not _itself]
    if len(telling) < 2:
        return telling[0] if telling else identity()

    def function(z: Tensor) -> Tensor:
        for stage in telling:
            z = stage(z)
        return z

    def extent(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        for stage in telling:
            low, high = stage.extent(low, high)
        return low, high

    lipschitz: Number = 1.0
    for stage in telling:
        lipschitz = _product(lipschitz, stage.lipschitz)
    return Activation(
        name=" → ".join(stage.name for stage in telling),
        function=function,
        extent=extent,
        lipschitz=lipschitz,
        breakpoints=tuple(_breakpoints(telling)),
        stages=tuple(part for stage in telling for part in stage.stages or (stage,)),
    )


def _breakpoints(stages: Iterable[Activation]) -> Iterator[Number]:
    """The breakpoints of a chain, pulled back through the straight lines at its beginning."""
    slope: Number = 1.0
    offset: Number = 0.0
    for stage in stages:
        for point in stage.breakpoints:
            yield (point - offset) / slope
        line = stage.envelope
        if line is None or isinstance(line.scale, Tensor) or line.scale != 0:
            return  # what bends after a bend is left to the rule's own points
        slope, offset = slope * line.slope, offset * line.slope + line.offset
        if _any_zero(slope):
            return


def _any_zero(slope: Number) -> bool:
    return bool((torch.as_tensor(slope) == 0).any())


def _product(left: Number, right: Number) -> Number:
    """The product of two Lipschitz constants, in which a constant function beats a jump."""
    factors = [torch.as_tensor(value, dtype=torch.float64) for value in (left, right)]
    product = (factors[0] * factors[1]).nan_to_num(nan=0.0, posinf=math.inf)
    return product if product.ndim else float(product)
