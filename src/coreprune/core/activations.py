"""The activation family, each with its exact range, Lipschitz constant and envelope."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.core.elementwise import (
    UNIT_SCALE,
    Activation,
    Envelope,
    affine,
    compose,
    custom,
    identity,
    monotone_between,
)

__all__ = [
    "affine",
    "celu",
    "compose",
    "custom",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "identity",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "step",
    "tanh",
]


def _zero_crossing(f: Callable[[float], float], low: float, high: float) -> float:
    """The zero of an increasing f in [low, high], by bisection to the last bit."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


def relu() -> Activation:
    """φ(z) = max(z, 0)."""
    envelope = Envelope(slope=0.5, offset=0.0, scale=0.5, gap=0.0)
    return monotone_between("relu", torch.relu, lipschitz=1.0, envelope=envelope)


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """φ(z) = z for z > 0, negative_slope·z otherwise."""
    activation = prelu(torch.tensor(negative_slope, dtype=torch.float64))
    return Activation(
        name="leaky_relu",
        function=lambda z: functional.leaky_relu(z, negative_slope),
        extent=activation.extent,
        lipschitz=max(1.0, abs(negative_slope)),
        envelope=Envelope(
            slope=(1 + negative_slope) / 2,
            offset=0.0,
            scale=(1 - negative_slope) / 2,
            gap=0.0,
        ),
    )


def prelu(slopes: Tensor) -> Activation:
    """φ_j(z) = z for z > 0, slopes_j·z otherwise.

    Args:
        slopes: One for all neurons or one each, of either sign. Shape () or (1,) or (n,).

    Returns:
        The activation; its scale κ is negative where a slope exceeds 1.
    """

    def function(z: Tensor) -> Tensor:
        return torch.where(z > 0, z, z * slopes.to(z))

    exact = slopes.double()
    return monotone_between(
        "prelu",
        function,
        lipschitz=exact.abs().clamp_min(1.0),
        envelope=Envelope(slope=(1 + exact) / 2, offset=0.0, scale=(1 - exact) / 2, gap=0.0),
        turns=(0.0,),
    )


def hardtanh(low: float = -1.0, high: float = 1.0) -> Activation:
    """φ(z) = min(max(z, low), high)."""
    at_zero = min(max(0.0, low), high)
    middle, half = (low + high) / 2, (high - low) / 2
    if at_zero <= middle and half >= 1:  # centred: e = (φ − middle) / half stays below |z|
        envelope = Envelope(slope=0.0, offset=middle, scale=half, floor=1.0, ceiling=1.0)
    else:
        envelope = Envelope(
            slope=0.0, offset=at_zero, scale=1.0, floor=at_zero - low, ceiling=high - at_zero
        )
    return monotone_between(
        "hardtanh",
        lambda z: z.clamp(low, high),
        lipschitz=1.0,
        envelope=envelope,
        breakpoints=(low, high),
    )


def relu6() -> Activation:
    """φ(z) = min(max(z, 0), 6)."""
    clipped = hardtanh(0.0, 6.0)
    return Activation(
        name="relu6",
        function=functional.relu6,
        extent=clipped.extent,
        lipschitz=1.0,
        envelope=clipped.envelope,
        breakpoints=clipped.breakpoints,
    )


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Activation:
    """φ(z) = ln(1 + exp(beta·z)) / beta, and z itself where beta·z > threshold, as in torch.

    The switch at the threshold is a jump of ln(1 + exp(−threshold)) / beta: below rounding from 20
    on; with a lower threshold φ is not Lipschitz and has no envelope. A negative beta, which torch
    allows, mirrors the curve: φ(z) = −softplus(−z) for −beta.
    """
    smooth = threshold >= 20
    line = Envelope(
        slope=0.5,
        offset=math.log(2) / beta,
        scale=math.copysign(0.5, beta),
        gap=2 * math.log(2) / abs(beta),
    )
    switch = threshold / beta
    return monotone_between(
        "softplus",
        lambda z: functional.softplus(z, beta, threshold),
        lipschitz=1.0 if smooth else math.inf,
        envelope=line if smooth else None,
        # beta·switch may round to either side of the threshold
        turns=(math.nextafter(switch, -math.inf), switch, math.nextafter(switch, math.inf)),
        breakpoints=(*(point / beta for point in UNIT_SCALE), switch),
    )


def sigmoid() -> Activation:
    """φ(z) = 1 / (1 + exp(−z))."""
    envelope = Envelope(slope=0.0, offset=0.5, scale=0.5, floor=1.0, ceiling=1.0)
    return monotone_between("sigmoid", torch.sigmoid, lipschitz=0.25, envelope=envelope)


def tanh() -> Activation:
    """φ(z) = tanh z."""
    envelope = Envelope(slope=0.0, offset=0.0, scale=1.0, floor=1.0, ceiling=1.0)
    return monotone_between("tanh", torch.tanh, lipschitz=1.0, envelope=envelope)


def _half_line(gap: float) -> Envelope:
    return Envelope(slope=0.5, offset=0.0, scale=0.5, gap=gap)


def _normal_cdf(z: float) -> float:
    return (1 + math.erf(z / math.sqrt(2))) / 2


def _normal_pdf(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@functools.cache
def gelu(approximate: str = "none") -> Activation:
    """φ(z) = z·Φ(z), Φ the normal distribution function; with "tanh", its usual approximation.

    Reference:
        Hendrycks & Gimpel 2016, "Gaussian Error Linear Units".
    """
    slope = _gelu_slope if approximate == "none" else _tanh_gelu_slope
    gate = _normal_cdf if approximate == "none" else _tanh_gate
    turn = _zero_crossing(slope, -1.0, -0.5)
    return monotone_between(
        "gelu" if approximate == "none" else "gelu_tanh",
        lambda z: functional.gelu(z, approximate=approximate),
        lipschitz=_peak(slope, 1.0, 2.0),
        envelope=_half_line(_peak(lambda z: z - z * (2 * gate(z) - 1), 0.0, 2.0)),
        turns=(turn,),
    )


def _gelu_slope(z: float) -> float:
    return _normal_cdf(z) + z * _normal_pdf(z)


def _tanh_gate(z: float) -> float:
    return (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


def _tanh_gelu_slope(z: float) -> float:
    root, gate = math.sqrt(2 / math.pi), _tanh_gate(z)
    return gate + 2 * z * gate * (1 - gate) * root * (1 + 3 * 0.044715 * z**2)


def _silu_slope(z: float) -> float:
    gate = 1 / (1 + math.exp(-z))
    return gate * (1 + z * (1 - gate))


def _peak(f: Callable[[float], float], low: float, high: float) -> float:
    """The maximum of a unimodal f on [low, high], rounded up."""
    for _ in range(200):
        third = (high - low) / 3
        left, right = low + third, high - third
        low, high = (left, high) if f(left) < f(right) else (low, right)
    return f(low) * (1 + 1e-14)


@functools.cache
def silu() -> Activation:
    """φ(z) = z / (1 + exp(−z))."""
    return monotone_between(
        "silu",
        functional.silu,
        lipschitz=_peak(_silu_slope, 1.0, 4.0),
        envelope=_half_line(_peak(lambda z: z * (1 - math.tanh(z / 2)), 0.0, 4.0)),
        turns=(_zero_crossing(_silu_slope, -2.0, -1.0),),
    )


def _mish_gate(z: float) -> float:
    return math.tanh(math.log1p(math.exp(z)))


def _mish_slope(z: float) -> float:
    gate = _mish_gate(z)
    return gate + z * (1 - gate**2) / (1 + math.exp(-z))


@functools.cache
def mish() -> Activation:
    """φ(z) = z·tanh(ln(1 + exp z)).

    Reference:
        Misra 2020, "Mish: A Self Regularized Non-Monotonic Activation Function".
    """
    turn = _zero_crossing(_mish_slope, -2.0, -1.0)
    least = turn * _mish_gate(turn)
    return monotone_between(
        "mish",
        functional.mish,
        lipschitz=_peak(_mish_slope, 1.0, 2.0),
        envelope=Envelope(
            slope=0.5,
            offset=0.0,
            scale=0.5,
            floor=_peak(lambda z: -z * (2 * _mish_gate(z) - 1), -0.3, 0.0),
            gap=-2 * least * (1 + 1e-14),
        ),
        turns=(turn,),
    )


def hardswish() -> Activation:
    """φ(z) = z·min(max(z + 3, 0), 6) / 6."""
    return monotone_between(
        "hardswish",
        functional.hardswish,
        lipschitz=1.5,
        envelope=_half_line(0.75),
        turns=(-3.0, -1.5),
        breakpoints=(-3.0, 3.0),
    )


def hardsigmoid() -> Activation:
    """φ(z) = min(max(z + 3, 0), 6) / 6."""
    envelope = Envelope(slope=0.0, offset=0.5, scale=0.5, floor=1.0, ceiling=1.0)
    return monotone_between(
        "hardsigmoid",
        functional.hardsigmoid,
        lipschitz=1 / 6,
        envelope=envelope,
        breakpoints=(-3.0, 3.0),
    )


def elu(alpha: float = 1.0) -> Activation:
    """φ(z) = z for z > 0, alpha·(exp(z) − 1) otherwise; without an envelope for alpha < 0."""
    # 2φ(z) − z on the negative side is least where 2·alpha·exp(z) = 1, if that lies there.
    floor = max(0.0, 2 * alpha - 1 - math.log(2 * alpha)) if 2 * alpha > 1 else 0.0
    return monotone_between(
        "elu",
        lambda z: functional.elu(z, alpha),
        lipschitz=max(1.0, abs(alpha)),
        envelope=Envelope(slope=0.5, offset=0.0, scale=0.5, floor=floor, gap=2 * alpha)
        if alpha >= 0
        else None,
        turns=(0.0,),
    )


def celu(alpha: float = 1.0) -> Activation:
    """φ(z) = z for z > 0, alpha·(exp(z / alpha) − 1) otherwise; not Lipschitz for alpha < 0."""
    line = Envelope(
        slope=0.5, offset=0.0, scale=0.5, floor=alpha * (1 - math.log(2)), gap=2 * alpha
    )
    return monotone_between(
        "celu",
        lambda z: functional.celu(z, alpha),
        lipschitz=1.0 if alpha > 0 else math.inf,
        envelope=line if alpha > 0 else None,
        breakpoints=tuple(point * alpha for point in UNIT_SCALE),
    )


def selu() -> Activation:
    """φ(z) = λ·z for z > 0, λ·α·(exp(z) − 1) otherwise.

    Reference:
        Klambauer et al. 2017, "Self-Normalizing Neural Networks" (the values of λ and α).
    """
    alpha, gain = 1.6732632423543772, 1.0507009873554805
    unscaled = elu(alpha).envelope
    floor = unscaled.floor if unscaled is not None else 0.0
    return monotone_between(
        "selu",
        functional.selu,
        lipschitz=gain * alpha,
        envelope=Envelope(slope=gain / 2, offset=0.0, scale=gain / 2, floor=floor, gap=2 * alpha),
    )


def step() -> Activation:
    """φ(z) = 1 for z > 0, 0 otherwise: not Lipschitz, so it has no theorem on sample sizes."""
    return monotone_between(
        "step",
        lambda z: (z > 0).to(z),
        lipschitz=math.inf,
        envelope=Envelope(slope=0.0, offset=1.0, scale=1.0, floor=1.0, ceiling=0.0),
    )
