"""Which function of the family a chain of element-wise nodes is, however it is spelled.

The chain is computed on a grid and compared with every member: a function of a few elementary steps
that agrees with one on the whole grid is that one, up to the rounding of its constants.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core import activations as family
from coreprune.core.elementwise import affine, compose
from coreprune.shells.onnx_file.activations import QUICK, Build, clipped, mish, swish

_NEAR = torch.arange(-640, 641, dtype=torch.float64) / 40
_FAR = torch.logspace(1.21, 4, 40, dtype=torch.float64)
GRID = torch.cat([-_FAR.flip(0), _NEAR, _FAR])
"""Dense where the family bends, with points far out on both sides. Shape (1361,)."""
_ZERO = int((GRID == 0).nonzero())
_ONE, _MINUS_ONE = int((GRID == 1).nonzero()), int((GRID == -1).nonzero())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recognised:
    """A member of the family, times a factor."""

    build: Build
    factor: float


def recognised(values: Tensor, tolerance: float) -> Recognised | None:
    """Find the function that has some values on the grid.

    Args:
        values: What a chain of nodes makes of `GRID`; overflow counts as agreement. Shape (1361,).
        tolerance: How far apart numbers may be, relative to 1 plus their size.

    Returns:
        The member that agrees best, if any does.
    """
    best: Recognised | None = None
    least = math.nextafter(tolerance, math.inf)
    for build, own in _candidates(values):
        factor = float(values[_ONE] / own[_ONE]) if own[_ONE] and values[_ONE] else 1.0
        factor = 1.0 if abs(factor - 1) <= tolerance else factor
        distance = _distance(values, factor * own)
        if distance < least:
            best, least = Recognised(build=build, factor=factor), distance
    return best


def with_factor(found: Recognised) -> Build:
    """The function, factor and all."""
    if found.factor == 1:
        return found.build
    return lambda: compose(found.build(), affine(found.factor, 0.0))


def _distance(left: Tensor, right: Tensor) -> float:
    finite = left.isfinite()
    gaps = (left - right).abs() / (1 + right.abs())
    # Near 0, where all these functions are, something must be left to compare.
    return float(gaps[finite].amax()) if bool(finite[_ZERO]) and finite.sum() > 600 else torch.inf


def _candidates(values: Tensor) -> Iterator[tuple[Build, Tensor]]:
    yield from _fixed()
    low, high = float(values.amin()), float(values.amax())
    for build in (
        clipped(low, high) if -1e3 < low < high < 1e3 else None,
        _kinked(values),
        functools.partial(family.elu, -low) if low < 0 else None,
    ):
        if build is not None:
            yield build, build()(GRID)


def _kinked(values: Tensor) -> Build | None:
    """The leaky ReLU with these values at −1 and 1; None for what would be a straight line."""
    if not values[_ONE]:
        return None
    slope = -float(values[_MINUS_ONE] / values[_ONE])
    return functools.partial(family.leaky_relu, slope) if abs(slope - 1) > 1e-4 else None


@functools.cache
def _fixed() -> tuple[tuple[Build, Tensor], ...]:
    builds: tuple[Build, ...] = (
        family.relu,
        family.relu6,
        family.sigmoid,
        family.tanh,
        family.silu,
        swish(QUICK),
        functools.partial(family.gelu, "none"),
        functools.partial(family.gelu, "tanh"),
        family.hardswish,
        family.hardsigmoid,
        family.softplus,
        family.selu,
        mish,
    )
    return tuple((build, build()(GRID)) for build in builds)
