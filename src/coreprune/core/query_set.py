"""The queries a certificate speaks of, as plain tensors: a ball, an ellipsoid or a box.

Every one of them is the image of a unit ball or a unit cube, x = x₀ + D v, so what holds on those
two holds on all.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuerySet:
    """All x = x₀ + D v with ‖v‖₂ ≤ 1 ("ball") or max |v_l| ≤ 1 ("cube").

    Attributes:
        centre: x₀ in float64. Shape (d,).
        axes: The diagonal of D, or D, in float64. Shape (d,) or (d, e).
        unit: What v runs through.
    """

    centre: Tensor
    axes: Tensor
    unit: Literal["ball", "cube"]


def ball(radius: float, *, dimension: int | None = None, centre: Tensor | None = None) -> QuerySet:
    """The Euclidean ball ‖x − x₀‖ ≤ β.

    Args:
        radius: β ≥ 0, finite; 0 is the single query x₀.
        dimension: d; may be left out where `centre` is given.
        centre: x₀, the origin when None. Shape (d,).

    Returns:
        The set.

    Raises:
        ArgumentError: When the radius is negative, infinite or NaN, or neither d nor x₀ is given.

    Example:
        >>> ball(2.0, dimension=3).axes.tolist()
        [2.0, 2.0, 2.0]
    """
    if not 0 <= radius < math.inf:
        raise ArgumentError(f"radius must be finite and not negative, got {radius}")
    if centre is None:
        if dimension is None:
            raise ArgumentError("ball needs dimension or centre, got neither")
        centre = torch.zeros(dimension, dtype=torch.float64)
    return ellipsoid(torch.full_like(centre.double(), radius), centre=centre)


def ellipsoid(axes: Tensor, *, centre: Tensor) -> QuerySet:
    """The ellipsoid x₀ + D v, ‖v‖ ≤ 1.

    Args:
        axes: Half-axes along the coordinates, or D. Shape (d,) or (d, e).
        centre: x₀. Shape (d,).

    Returns:
        The set.

    Raises:
        ArgumentError: When shapes do not fit or an entry is NaN or infinite.
    """
    if centre.ndim != 1 or axes.ndim not in {1, 2} or len(axes) != len(centre):
        raise ArgumentError(
            "axes must have shape (d,) or (d, e) and centre shape (d,), got "
            f"{tuple(axes.shape)} and {tuple(centre.shape)}"
        )
    _check_finite(axes=axes, centre=centre)
    return QuerySet(centre=centre.double(), axes=axes.double(), unit="ball")


def box(low: Tensor, high: Tensor) -> QuerySet:
    """The box low_l ≤ x_l ≤ high_l.

    Args:
        low: Shape (d,).
        high: Shape (d,).

    Returns:
        The set; half-axes are rounded up, so that both ends are inside.

    Raises:
        ArgumentError: When shapes differ, an entry is NaN or infinite, or low exceeds high.

    Example:
        >>> box(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 1.0])).centre.tolist()
        [0.5, 0.0]
    """
    if low.ndim != 1 or low.shape != high.shape:
        raise ArgumentError(
            f"low and high must have shape (d,), got {tuple(low.shape)} and {tuple(high.shape)}"
        )
    _check_finite(low=low, high=high)
    if (low > high).any():
        raise ArgumentError("low must not exceed high in any coordinate; exchange them")
    low, high = low.double(), high.double()
    centre = low / 2 + high / 2
    half = torch.maximum(high - centre, centre - low)
    half = torch.where(high > low, torch.nextafter(half, torch.full_like(half, math.inf)), 0.0)
    return QuerySet(centre=centre, axes=half, unit="cube")


def pulled_back(points: Tensor, bias: Tensor, space: QuerySet) -> tuple[Tensor, Tensor]:
    """R and s with p_j·x + b_j = R_j·v + s_j: neurons as functions of the unit set.

    Args:
        points: p_j in float64. Shape (n, d).
        bias: b_j in float64. Shape (n,).
        space: The queries.

    Returns:
        R of shape (n, e) and s of shape (n,).
    """
    axes = space.axes
    rows = points * axes if axes.ndim == 1 else points @ axes
    return rows, points @ space.centre + bias


def reach(rows: Tensor, space: QuerySet) -> Tensor:
    """The largest |R_j·v| over the unit set: the dual norm of each row. Shape (..., e) to (...)."""
    order = 2 if space.unit == "ball" else 1
    largest: Tensor = torch.linalg.vector_norm(rows, ord=order, dim=-1)
    return largest


def absolute_reach(points: Tensor, space: QuerySet) -> Tensor:
    """At least Σ_l |p_jl| |x_l| for every query: what rounding errors scale with. Shape (n,)."""
    points, centre = points.abs(), points.abs() @ space.centre.abs()
    if space.axes.ndim == 1:
        return reach(points * space.axes, space) + centre
    order = 2 if space.unit == "ball" else 1
    lengths: Tensor = torch.linalg.vector_norm(space.axes, ord=order, dim=1)
    return points @ lengths + centre


def queries(space: QuerySet, v: Tensor) -> Tensor:
    """X = x₀ + D v. Shape (..., e) to (..., d)."""
    moved = v * space.axes if space.axes.ndim == 1 else v @ space.axes.T
    return moved + space.centre


def inside(v: Tensor, space: QuerySet) -> Tensor:
    """The nearest point of the unit set. Shape (..., e)."""
    if space.unit == "cube":
        return v.clamp(-1, 1)
    norms: Tensor = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v / norms.clamp_min(1.0)


def draw(space: QuerySet, count: int, *, generator: Generator) -> Tensor:
    """Points v on the boundary of the unit set: of the ball uniform, of the cube its corners.

    Args:
        space: The queries.
        count: How many.
        generator: The source of randomness, on the CPU.

    Returns:
        Shape (count, e).
    """
    width = space.axes.shape[-1]
    v = torch.randn(count, width, dtype=torch.float64, generator=generator)
    if space.unit == "cube":
        return torch.where(v < 0, -1.0, 1.0).to(v)
    norms: Tensor = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    return v / norms


def _check_finite(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ArgumentError(
                f"{name} must be finite, got NaN or infinite entries; bound the queries"
            )
