"""The activations measured, and what the library declares of each, in words."""

import math

import torch
from torch import Tensor

from coreprune.core import activations
from coreprune.core.elementwise import Activation, Number, identity


def family(n: int) -> tuple[Activation, ...]:
    """Every activation of the library, PReLU with a slope of its own for each of n neurons."""
    return (
        identity(),
        activations.relu(),
        activations.leaky_relu(),
        activations.prelu(torch.linspace(-0.5, 1.5, n, dtype=torch.float64)),
        activations.relu6(),
        activations.hardtanh(),
        activations.hardsigmoid(),
        activations.sigmoid(),
        activations.tanh(),
        activations.softplus(),
        activations.elu(),
        activations.celu(alpha=0.5),
        activations.selu(),
        activations.gelu(),
        activations.gelu(approximate="tanh"),
        activations.silu(),
        activations.hardswish(),
        activations.mish(),
        activations.step(),
    )


def in_the_papers_family(activation: Activation, n: int) -> bool:
    """Whether φ is non-negative and non-decreasing on a grid over [−12, 12]."""
    z = torch.linspace(-12, 12, 4801, dtype=torch.float64)[:, None].expand(-1, n)
    h = activation(z)
    return bool((h >= 0).all() and (h.diff(dim=0) >= -1e-12).all())


def lipschitz(activation: Activation) -> float | None:
    """The largest Lipschitz constant over the neurons, None when there is none."""
    largest = float(torch.as_tensor(activation.lipschitz).max())
    return largest if math.isfinite(largest) else None


def envelope(activation: Activation) -> str:
    """The line and the bounded remainder, in Markdown."""
    declared = activation.envelope
    if declared is None:
        return "none"
    slope, offset, scale, floor, ceiling = map(
        _number,
        (declared.slope, declared.offset, declared.scale, declared.floor, declared.ceiling),
    )
    line = [f"{slope}·z"] * (slope != "0") + [offset] * (offset != "0")
    if scale == "0":
        return " + ".join(line)
    most = "&#124;z&#124;" if ceiling == "inf" else f"min(&#124;z&#124;, {ceiling})"
    least = "0" if floor == "0" else f"−{floor}"
    return f"{' + '.join([*line, f'{scale}·e'])}, {least} ≤ e ≤ {most}"


def _number(value: Number) -> str:
    if isinstance(value, Tensor) and value.ndim:
        return f"[{_number(float(value.min()))}…{_number(float(value.max()))}]"
    return f"{float(value):.3g}".replace("-", "−")
