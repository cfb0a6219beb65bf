"""Assertions that several tests share; each says what was expected and what was found."""

import math

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.subset import WeightedSubset

GRID = torch.arange(-12_000, 12_001, dtype=torch.float64) / 1000  # every kink lies on it


def columns(grid: Tensor, width: int) -> Tensor:
    """The grid once for each of `width` neurons. Shape (len(grid), width)."""
    return grid[:, None].expand(-1, width)


def assert_extent(
    activation: Activation, *, width: int = 1, slope: float | None = None, points: int = 1001
) -> None:
    """The extent covers a brute-force search; with `slope` given it is as tight as the search."""
    for low, high in _intervals():
        z = columns(torch.linspace(low, high, points, dtype=torch.float64), width)
        values = activation(z)
        ends = torch.tensor([low, high], dtype=torch.float64)[:, None].expand(2, width)
        least, greatest = activation.extent(*ends)
        supremum, brute = activation.supremum(*ends), values.abs().amax(0)
        rounding = 1e-12 * (1 + brute)
        where = f"{activation.name} on [{low}, {high}]"
        assert (least <= values.amin(0) + rounding).all(), f"{where}: {least} is no lower bound"
        assert (greatest >= values.amax(0) - rounding).all(), f"{where}: {greatest} is none"
        assert (supremum >= brute - rounding).all(), f"{where}: supremum {supremum} < {brute}"
        if slope is not None:
            slack = slope * (high - low) / (points - 1) + rounding
            assert (least >= values.amin(0) - slack).all(), f"{where}: {least} is loose"
            assert (greatest <= values.amax(0) + slack).all(), f"{where}: {greatest} is loose"
            assert (supremum <= brute + slack).all(), f"{where}: supremum {supremum} is loose"


def _intervals() -> list[tuple[float, float]]:
    fixed = [(0.0, 0.0), (-1.0, -1.0), (-20.0, 20.0), (-0.5, 0.0), (0.0, 7.0), (-9.0, -4.0)]
    ends = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4
    return fixed + [(low, high) for low, high in ends.sort(1).values.tolist()]


def assert_lipschitz(activation: Activation, *, width: int = 1, attained: bool = True) -> None:
    """No difference quotient of the grid beats the constant, and the largest comes near it."""
    values = activation(columns(GRID, width))
    step = float(GRID[1] - GRID[0])
    steepest = (values.diff(dim=0).abs() / step).amax(0)
    claimed = torch.as_tensor(activation.lipschitz, dtype=torch.float64)
    assert (steepest <= claimed * (1 + 1e-9) + 1e-9).all(), f"{steepest} beats {claimed}"
    if attained:
        assert (steepest >= claimed * (1 - 1e-3)).all(), f"{claimed} is loose, {steepest} found"


def assert_envelope(activation: Activation, *, width: int = 1) -> None:
    """φ = a z + o + κ e, max(−τ, |z| − gap) ≤ e ≤ min(|z|, ceiling); every finite one attained."""
    envelope = activation.envelope
    assert envelope is not None
    z = columns(GRID, width)
    a, o, kappa, floor, ceiling, gap = (
        torch.as_tensor(value, dtype=torch.float64).expand(width)
        for value in (
            envelope.slope,
            envelope.offset,
            envelope.scale,
            envelope.floor,
            envelope.ceiling,
            envelope.gap,
        )
    )
    remainder = activation(z) - (a * z + o)
    bent = kappa != 0
    rounding = 1e-12 * (1 + z.abs())
    assert (remainder.abs() <= rounding)[:, ~bent].all(), "scale 0, yet φ is no straight line"
    e = (remainder / torch.where(bent, kappa, 1.0))[:, bent]
    if e.numel() == 0:
        return
    upper = torch.minimum(z.abs(), ceiling)[:, bent]
    slack = rounding[:, bent] / kappa[bent].abs()
    assert (e >= -floor[bent] - slack).all(), f"e reaches {e.amin(0)}, floor {floor}"
    assert (e <= upper + slack).all(), f"e exceeds min(|z|, ceiling) by {(e - upper).amax(0)}"
    missing = (z.abs()[:, bent] - e).amax(0)
    assert (missing <= gap[bent] + 1e-9).all(), f"e stays {missing} below |z|, gap {gap}"
    assert (missing >= gap[bent].nan_to_num(posinf=0) - 0.12).all(), f"gap {gap} is loose"
    assert (e.amin(0) <= -floor[bent] + 1e-3).all(), f"floor {floor} is loose: {e.amin(0)}"
    reached = torch.where(ceiling[bent].isinf(), (e / upper.clamp_min(1)).amax(0), 1 + e.amax(0))
    wanted = torch.where(ceiling[bent].isinf(), 0.7, 1 + ceiling[bent] - 1e-3)
    assert (reached >= wanted).all(), "the upper side of the envelope is loose"


def assert_subset(subset: WeightedSubset, *, num_neurons: int, weights: Tensor) -> None:
    """Indices sorted, distinct and in range; weights and bias shift of fitting shape and dtype."""
    indices, n = subset.indices, weights.shape[1]
    assert indices.dtype == torch.long
    assert (indices.diff() > 0).all(), f"not sorted and distinct: {indices}"
    assert ((indices >= 0) & (indices < n)).all(), f"out of range: {indices}"
    assert len(indices) <= max(num_neurons, subset.num_draws or 0)
    assert subset.weights.shape == (len(weights), len(indices))
    assert subset.bias_shift.shape == (len(weights),)
    assert subset.weights.dtype == subset.bias_shift.dtype == weights.dtype
    assert torch.isfinite(subset.weights).all()


def hoeffding_radius(repetitions: int, *, width: float = 1.0, false_alarm: float = 1e-9) -> float:
    """How far a mean of values in an interval of this width strays, but for `false_alarm`."""
    return width * math.sqrt(math.log(2 / false_alarm) / (2 * repetitions))


def factors_of(subset: WeightedSubset, weights: Tensor) -> Tensor:
    """The mean of u_ij / w_ij over i, 0 for the neurons left out, for weights without 0. (n,)."""
    factors = torch.zeros(weights.shape[1], dtype=torch.float64)
    kept = weights[:, subset.indices].double()
    factors[subset.indices] = (subset.weights.double() / kept).mean(0)
    return factors


def fails_more_often(errors: Tensor, eps: float, *, delta: float) -> bool:
    """Whether more than a share δ of the errors is not below ε: then (ε, δ) is no guarantee."""
    return float((errors <= eps).double().mean()) < 1 - delta
