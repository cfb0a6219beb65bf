"""Inputs that a network answers with conviction, made from its weights alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.queries.ball import check_positive

Conviction = Callable[[Tensor], Tensor]
"""The network's conviction about each input of a batch, differentiable; shapes (b, …) and (b,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impressions:
    """Noise shaped by the first layer's weights, moved towards inputs the network is sure of.

        x₀ ~ N(0, C),   C = σ² ((1 − u) PᵀP / mean diagonal + u I),   then `steps` times
        x ← ‖x₀‖ y / ‖y‖,   y = x + rate ‖x₀‖ C g / ‖C g‖,   g the gradient of the conviction,

    and ξ x at the end, ξ standard normal. What weight decay leaves in P are the directions that
    inputs had; the steps give every query the kind of answer that inputs get; ξ gives queries of
    one direction every size. Of a network with inputs that are not negative, every other query
    is kept so: x₀ and y are clipped at zero.

    Attributes:
        deviation: σ > 0, the root mean square of the entries, in the units of the input.
        steps: How many steps each query takes.
        rate: The length of a step as a share of the query's norm.
        isotropic: u in [0, 1].
        nonnegative: Whether every other query is not negative (before ξ).

    References:
        Nayak et al. 2019, "Zero-Shot Knowledge Distillation in Deep Networks" (data impressions);
        Yin et al. 2020, "Dreaming to Distill" (inputs by gradient ascent).
    """

    deviation: float = 1.0
    steps: int = 5
    rate: float = 0.1
    isotropic: float = 0.2
    nonnegative: bool = False

    def __post_init__(self) -> None:
        check_positive("deviation", self.deviation)
        if not isinstance(self.steps, int | np.integer) or self.steps < 0:
            raise ArgumentError(f"steps must be a whole number of at least 0, got {self.steps!r}")
        shares = self.rate, self.isotropic
        numbers = all(isinstance(share, int | float | np.floating) for share in shares)
        if not numbers or not 0 < self.rate < 1 or not 0 <= self.isotropic <= 1:
            raise ArgumentError(
                f"rate must be in (0, 1) and isotropic in [0, 1], got {self.rate!r} and "
                f"{self.isotropic!r}"
            )

    @property
    def words(self) -> str:
        """The law, for people."""
        return (
            f"inputs of deviation {self.deviation:.4g} shaped by the first layer's weights and "
            f"moved {self.steps} steps towards confident outputs"
            f"{', every other one not negative' if self.nonnegative else ''}"
        )

    def sample(
        self,
        shape: tuple[int, ...],
        *,
        points: Tensor | None,
        conviction: Conviction | None,
        generator: Generator,
    ) -> Tensor:
        """Make queries in float32. Shape as asked, the batch first.

        Args:
            shape: (batch, …).
            points: P, the first layer's weights over the flat inputs, shape (n, d); None stands for
                an isotropic law.
            conviction: Differentiated by the queries; None leaves the noise as it is.
            generator: The source of randomness, on the CPU.

        Returns:
            The queries.
        """
        shaping = _Shape(points, self.isotropic)
        low = self._floor(shape)
        queries = torch.maximum(shaping.noise(shape, generator=generator), low)
        norms = _norms(queries)
        for _ in range(self.steps):
            if conviction is None:
                break
            queries = queries.detach().requires_grad_()
            ascent = shaping.applied(_gradient(conviction, queries))
            step = ascent * (self.rate * norms / _norms(ascent).clamp_min(1e-30))
            moved = torch.maximum(queries.detach() + step.nan_to_num(0.0), low)
            queries = moved * (norms / _norms(moved).clamp_min(1e-30))
        sizes = torch.randn(shape[0], generator=generator).view_as(norms)
        root = queries.square().mean().sqrt().clamp_min(1e-30)
        return queries.detach() * (self.deviation / root) * sizes

    def _floor(self, shape: tuple[int, ...]) -> Tensor:
        """The least value of each query, broadcasting against them."""
        low = torch.full((shape[0], *[1] * (len(shape) - 1)), -math.inf)
        if self.nonnegative:
            low[::2] = 0.0
        return low


def _gradient(conviction: Conviction, queries: Tensor) -> Tensor:
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(conviction(queries).sum(), queries)
    return gradient


class _Shape:
    """The covariance C = (1 − u) PᵀP / mean diagonal + u I, never formed."""

    def __init__(self, points: Tensor | None, isotropic: float) -> None:
        self.points, self.isotropic = None, 1.0
        if points is not None and bool(points.any()):
            scale = points.float().square().sum() / points.shape[1]
            self.points, self.isotropic = points.float() / scale.sqrt(), isotropic

    def noise(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Rows of N(0, C), whose entries have mean square 1 on average."""
        even = torch.randn(shape, generator=generator)
        if self.points is None:
            return even
        along = torch.randn(shape[0], len(self.points), generator=generator) @ self.points.cpu()
        both: Tensor = self.isotropic**0.5 * even + (1 - self.isotropic) ** 0.5 * along.view(shape)
        return both

    def applied(self, rows: Tensor) -> Tensor:
        """C times each row."""
        if self.points is None:
            return rows
        points = self.points.to(rows)
        along = (rows.flatten(1) @ points.T @ points).view_as(rows)
        return self.isotropic * rows + (1 - self.isotropic) * along


def _norms(rows: Tensor) -> Tensor:
    """The norm of each example, broadcasting against the rows."""
    norms: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norms.view(-1, *[1] * (rows.ndim - 1))
