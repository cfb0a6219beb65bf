"""Quadratic upper bounds of weighted remainders, found by a relaxation over second moments.

For a neuron with y = R·v + y₀ and a factor g, each of these is at least g e(y) on the whole set:

    coned        |g| (y²/t + t)/2                       for every t > 0
    capped       max g e
    opposed      −|g| (θ p(y) + δ y) + |g| gap           for g < 0, 0 ≤ θ ≤ 1, |δ| ≤ 1 − θ

with p(y) = (2y² − (h + l) y)/(h − l) ≤ |y| on [l, h], l < 0 < h, because p meets |y| at l, 0 and h
and is convex. Any choice is sound. A good one comes from maximising over second moments: let the
rows of Y stand for a random v, E[v] the first and E[vvᵀ] = YᵀY, and let every remainder contribute
the most that a variable with the mean and second moment of its y can. That is concave in the
moments; ascent on Y finds its maximum, and the slopes there are t, θ and δ.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.coordinates import Coordinates
from coreprune.core.query_set import QuerySet
from coreprune.core.remainders import Remainders
from coreprune.core.row_bounds import SignedSums

MOMENTS = 8
"""Rows of Y: enough for the layers measured."""
SMOOTHING = (1e-2, 3e-4)
"""How round the kink of |E y| is at the first and the last step, as a share of the largest |y|."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Majorants:
    """g_ij e_j ≤ α_ij y_j² + β_ij y_j + (c_i over all j), for m signed sums.

    Attributes:
        curvature: α. Shape (m, n).
        tilt: β. Shape (m, n).
        level: c. Shape (m,).
        multiplier: A guess of the price λ of ‖v‖² ≤ 1, or of each v_l² ≤ 1. Shape (m, 1) or (m, e).
    """

    curvature: Tensor
    tilt: Tensor
    level: Tensor
    multiplier: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """What the ascent reads, in single precision and scaled so that |y| and |g| are at most 1."""

    rows: Tensor
    shift: Tensor
    ranges: "_Ranges"
    gap: Tensor
    line: Tensor
    gains: Tensor
    capped: Tensor
    coned: Tensor
    opposed: Tensor
    cube: bool
    convex: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ranges:
    """Of every y: l + h, h − l where 0 is between (else 1), whether it is, and the largest |y|."""

    ends: Tensor
    span: Tensor
    straddles: Tensor
    size: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slopes:
    """Where the relaxation stands: the parameters of every majorant and which one is the least."""

    t: Tensor
    theta: Tensor
    delta: Tensor
    conic: Tensor
    opposing: Tensor


def majorants(
    parts: SignedSums,
    neurons: Remainders,
    space: QuerySet,
    *,
    frame: Coordinates,
    steps: int,
    convex: bool = False,
) -> Majorants:
    """Choose a majorant for every neuron of every signed sum.

    Args:
        parts: The m signed sums to bound.
        neurons: Their neurons.
        space: The queries.
        frame: R and A, in coordinates of their span perhaps.
        steps: Of the ascent.
        convex: Whether to do without parabolas, so that α ≥ 0.

    Returns:
        Sound majorants; the more steps, the nearer to the best.
    """
    shift = neurons.shift - neurons.centre
    scale = float(torch.maximum(neurons.low.abs(), neurons.high.abs()).amax()) or 1.0
    peak = parts.gains.abs().amax(1, keepdim=True).clamp_min(1e-300)
    opposed = (parts.gains < 0) & torch.isfinite(neurons.gap)
    task = _Task(
        rows=(frame.rows / scale).float(),
        shift=(shift / scale).float(),
        ranges=_ranges((neurons.low / scale).float(), (neurons.high / scale).float()),
        gap=(neurons.gap / scale).float(),
        line=(frame.line / (peak * scale)).float(),
        gains=(parts.gains.abs() / peak).float(),
        capped=(parts.capped / (peak * scale)).float(),
        coned=parts.coned,
        opposed=opposed,
        cube=space.unit == "cube",
        convex=convex,
    )
    slopes, multiplier = _ascend(task, steps=steps)
    exact = _exact(parts, neurons, slopes, scale=scale)
    return Majorants(
        curvature=exact.curvature,
        tilt=exact.tilt,
        level=exact.level,
        multiplier=multiplier.double() * peak * scale,
    )


def _ranges(low: Tensor, high: Tensor) -> _Ranges:
    straddles = (low < 0) & (high > 0)
    return _Ranges(
        ends=low + high,
        span=torch.where(straddles, high - low, 1.0),
        straddles=straddles,
        size=torch.maximum(low.abs(), high.abs()).clamp_min(1e-6),
    )


def _ascend(task: _Task, *, steps: int) -> tuple[_Slopes, Tensor]:
    """Normalised gradient steps of falling length on Y, from the line's direction and noise."""
    y = _start(task)
    first, last = SMOOTHING
    for step in range(steps + 1):
        share = step / max(1, steps)
        z = y @ task.rows.T
        z[:, 0] += task.shift
        slopes = _slopes(task, z, smoothing=first * (last / first) ** share)
        gradient = _gradient(task, slopes, z)
        axis = 1 if task.cube else (1, 2)
        length: Tensor = torch.linalg.vector_norm(gradient, dim=axis, keepdim=True)
        if step < steps:
            y = y + 0.5 * 0.01**share * gradient / length.clamp_min(1e-30)
            size: Tensor = torch.linalg.vector_norm(y, dim=axis, keepdim=True)
            y = y / size.clamp_min(1.0)
    return slopes, length.flatten(1) / 2


def _start(task: _Task) -> Tensor:
    m, e = task.line.shape
    generator = Generator().manual_seed(0)  # a fixed start: the result depends on the input alone
    y = torch.randn(m, MOMENTS, e, generator=generator).to(task.line)
    axis = 1 if task.cube else (1, 2)
    noise: Tensor = torch.linalg.vector_norm(y, dim=axis, keepdim=True)
    y /= noise
    size: Tensor = torch.linalg.vector_norm(task.line, dim=1, keepdim=True)
    y[:, 0] += torch.sign(task.line) if task.cube else task.line / size.clamp_min(1e-30)
    whole: Tensor = torch.linalg.vector_norm(y, dim=axis, keepdim=True)
    y /= whole
    return y


def _slopes(task: _Task, z: Tensor, *, smoothing: float) -> _Slopes:
    """The least majorant of each neuron at the moments of z. Shape of z: (m, r, n)."""
    mean, second = z[:, 0], z.square().sum(1)
    t = (second + 1e-12).sqrt()
    ranges = task.ranges
    if task.convex:
        parabola = torch.full_like(mean, -torch.inf)
    else:
        parabola = (2 * second - ranges.ends * mean) / ranges.span
        parabola = torch.where(ranges.straddles, parabola, -torch.inf)
    width = smoothing * ranges.size
    choices = torch.stack([mean, -mean, parabola]) / width
    share = torch.softmax(choices, dim=0)
    least = choices.logsumexp(0) * width  # a little above the maximum: only the choice reads it
    cone = torch.where(task.coned, task.gains * t, torch.inf)
    opposed = torch.where(task.opposed, task.gains * (task.gap - least), torch.inf)
    conic = (cone < task.capped) & (cone <= opposed)
    return _Slopes(
        t=t,
        theta=share[2],
        delta=share[0] - share[1],
        conic=conic,
        opposing=~conic & (opposed < task.capped),
    )


def _gradient(task: _Task, slopes: _Slopes, z: Tensor) -> Tensor:
    curvature, tilt = _quadratic(task.gains, task.ranges, slopes)
    gradient = 2 * ((curvature[:, None] * z) @ task.rows)
    gradient[:, 0] += task.line + tilt @ task.rows
    return gradient


def _quadratic(gains: Tensor, ranges: _Ranges, slopes: _Slopes) -> tuple[Tensor, Tensor]:
    """α and β of the majorants chosen. Shapes (m, n)."""
    bend = torch.where(ranges.straddles, slopes.theta, 0.0)
    bent = -2 * gains * bend / ranges.span
    tilted = gains * (bend * ranges.ends / ranges.span - slopes.delta)
    curvature = torch.where(slopes.conic, gains / (2 * slopes.t), 0.0)
    return (
        torch.where(slopes.opposing, bent, curvature),
        torch.where(slopes.opposing, tilted, 0.0),
    )


def _exact(parts: SignedSums, neurons: Remainders, slopes: _Slopes, *, scale: float) -> Majorants:
    """The majorants in float64: whatever the ascent found, they hold."""
    theta = slopes.theta.double().nan_to_num().clamp(0, 1)
    room = 1 - theta
    delta = torch.minimum(torch.maximum(slopes.delta.double().nan_to_num(), -room), room)
    t = (slopes.t.double() * scale).nan_to_num(nan=scale, posinf=scale).clamp_min(1e-12 * scale)
    wide = _Slopes(t=t, theta=theta, delta=delta, conic=slopes.conic, opposing=slopes.opposing)
    gains = parts.gains.abs()
    curvature, tilt = _quadratic(gains, _ranges(neurons.low, neurons.high), wide)
    level = torch.where(wide.conic, gains * t / 2, parts.capped)
    level = torch.where(wide.opposing, gains * neurons.gap.nan_to_num(posinf=0.0), level)
    level = torch.where(gains > 0, level, 0.0)
    return Majorants(
        curvature=curvature, tilt=tilt, level=level.sum(1), multiplier=level.new_zeros(0)
    )
