"""Which function of the family a chain of element-wise nodes is, however it is spelled.

The chain is computed on a grid and compared with every member: a function of a few elementary steps
that agrees with one on the whole grid is that one, up to the rounding of its constants.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coreprune.core import activations as family
from coreprune.core.elementwise import affine, compose
from coreprune.shells.onnx_file.activations import QUICK, Build, clipped, swish

_NEAR = torch.arange(-640, 641, dtype=torch.float64) / 40
_FAR = torch.logspace(1.21, 4, 40, dtype=torch.float64)
GRID = torch.cat([-_FAR.flip(0), _NEAR, _FAR])
"""Dense where the family bends, with points far out on both sides. Shape (1361,)."""
_ZERO, _STEP = len(_FAR) + 640, 40
_ONE, _MINUS_ONE = _ZERO + _STEP, _ZERO - _STEP
_PROBES = np.array([*range(_ZERO - 320, _ZERO + 321, _STEP), 5, len(GRID) - 6])
"""Enough of the grid to tell most functions apart: the whole numbers from −8 to 8, two far out."""
_AT_ZERO, _AT_ONE = 8, 9
_ENDS = [_AT_ONE, -2, -1]
_ENOUGH = 1300
"""So many points must be left where a chain overflows on others."""

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recognised:
    """A member of the family, times a factor."""

    build: Build
    factor: float


@np.errstate(all="ignore")  # chains may overflow, and what is infinite is compared with nothing
def recognised(values: Tensor, tolerance: float) -> Recognised | None:
    """Find the function that has some values on the grid.

    Args:
        values: What a chain of nodes makes of `GRID`; overflow counts as agreement. Shape (1361,).
        tolerance: How far apart numbers may be, relative to 1 plus their size.

    Returns:
        The member that agrees best, if any does.
    """
    given = values.numpy()
    probed = given[_PROBES]
    if _is_straight(probed):
        return None
    best: Recognised | None = None
    least = math.nextafter(tolerance, math.inf)
    for build, own in _candidates(given, probed, tolerance):
        factor = float(given[_ONE] / own[_ONE]) if own[_ONE] and given[_ONE] else 1.0
        factor = 1.0 if abs(factor - 1) <= tolerance else factor
        distance = _distance(given, factor * own)
        if distance < least:
            best, least = Recognised(build=build, factor=factor), distance
    return best


def with_factor(found: Recognised) -> Build:
    """The function, factor and all."""
    if found.factor == 1:
        return found.build
    return lambda: compose(found.build(), affine(found.factor, 0.0))


def _is_straight(probed: Numbers) -> bool:
    """Whether a function is a line as far as the whole numbers tell."""
    left, middle, right = float(probed[0]), float(probed[_AT_ZERO]), float(probed[2 * _AT_ZERO])
    if abs(left + right - 2 * middle) > 1e-6 * (1 + abs(right - left)):
        return False  # sooner told, and a line is not so far off by rounding
    steps = np.diff(probed[:-2])
    return bool(np.ptp(steps) <= 1e-9 * (1 + np.abs(steps[0])))


def _distance(left: Numbers, right: Numbers) -> float:
    finite = np.isfinite(left)
    if not finite[_ZERO] or np.count_nonzero(finite) < _ENOUGH:
        return math.inf  # near 0, where all these functions are, something must be left to compare
    gaps = np.abs(left - right) / (1 + np.abs(right))
    return float(gaps[finite].max())


def _candidates(
    values: Numbers, probed: Numbers, tolerance: float
) -> Iterator[tuple[Build, Numbers]]:
    builds, grids, probes = _fixed()
    possible = _like_at_ends(probed, 2 * tolerance)
    if possible:
        probes = probes[possible]
        factors = np.where(probed[_AT_ONE] == 0, 1.0, probed[_AT_ONE] / probes[:, _AT_ONE])
        scaled = factors[:, None] * probes
        gaps = np.abs(probed - scaled) / (1 + np.abs(scaled))
        close = np.nanmax(np.where(np.isfinite(probed), gaps, 0.0), axis=1) <= 2 * tolerance
        for place in np.array(possible)[close]:
            yield builds[place], grids[place]
    for build in _fitted(values):
        yield build, build()(GRID).numpy()


def _like_at_ends(probed: Numbers, tolerance: float) -> list[int]:
    """The members without a parameter that agree at the two far points, scaled to agree at 1."""
    one, low, high = map(float, probed[_ENDS])
    low, high = (end if math.isfinite(end) else math.nan for end in (low, high))  # nan: agreement
    found = []
    for place, (own, own_low, own_high) in enumerate(_at_ends()):
        factor = one / own if one else 1.0
        like_low, like_high = factor * own_low, factor * own_high
        if abs(low - like_low) > tolerance * (1 + abs(like_low)):
            continue
        if not abs(high - like_high) > tolerance * (1 + abs(like_high)):
            found.append(place)
    return found


def _fitted(values: Numbers) -> Iterator[Build]:
    """The members with a parameter that could have these values."""
    low, high = float(values[0]), float(values[-1])
    flat = (low == values[20], high == values[-21])
    clip = clipped(low, high) if all(flat) else None
    if clip is not None and math.isfinite(high - low):
        yield clip
    if flat[0] and low < 0 and values[_ONE] == 1:
        yield functools.partial(family.elu, -low)
    if values[_ONE] and abs(2 * values[_ONE] - values[_ONE + _STEP]) <= 1e-9:
        slope = -float(values[_MINUS_ONE] / values[_ONE])
        yield functools.partial(family.leaky_relu, slope)


@functools.cache
def _fixed() -> tuple[tuple[Build, ...], tuple[Numbers, ...], Numbers]:
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
        family.mish,
    )
    grids = tuple(build()(GRID).numpy() for build in builds)
    return builds, grids, np.stack([grid[_PROBES] for grid in grids])


@functools.cache
def _at_ends() -> list[list[float]]:
    """What the members without a parameter are at 1 and at the two far points."""
    found: list[list[float]] = _fixed()[2][:, _ENDS].tolist()
    return found
