"""Pictures of random shapes that hide each other: edges and flat parts, as in photographs."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.queries.ball import check_positive

SMALLEST, LARGEST = 0.05, 0.6
"""Radii of shapes as a share of the longest side."""

STRETCH = 0.25
"""The deviation of the logarithm of a shape's extent along each axis."""

LEAVES = 60
"""Shapes in a picture: they cover nearly all of it."""


@dataclass(frozen=True, slots=True)
class DeadLeaves:
    """The dead leaves model: shapes of one colour each, dropped one upon the other.

    A shape is a box or an ellipsoid about a uniform centre; its radius r has the density ∝ r⁻³,
    under which pictures look alike at every scale. Its colour is (g + c e) / √(1 + c²), g normal
    and the same in all channels, e normal and independent in each: photographs are mostly grey.

    Attributes:
        deviation: σ > 0 of the entries, in the units of the input.
        mean: Of the entries.
        colour: c ≥ 0.

    Example:
        >>> DeadLeaves().sample((2, 3, 8, 8), generator=Generator().manual_seed(0)).shape
        torch.Size([2, 3, 8, 8])

    References:
        Lee, Mumford, Huang 2001, "Occlusion Models for Natural Images"; Baradad et al. 2021,
        "Learning to See by Looking at Noise".
    """

    deviation: float = 1.0
    mean: float = 0.0
    colour: float = 0.3

    def __post_init__(self) -> None:
        check_positive("deviation", self.deviation)
        for name, least in (("mean", -math.inf), ("colour", 0.0)):
            value = getattr(self, name)
            number = isinstance(value, int | float | np.floating) and math.isfinite(value)
            if not number or value < least:
                rule = "finite" if name == "mean" else "finite and at least 0"
                raise ArgumentError(f"{name} must be {rule}, got {value!r}")

    @property
    def words(self) -> str:
        """The law, for people."""
        mean = "" if self.mean == 0 else f" and mean {self.mean:.4g}"
        return f"pictures of random shapes (dead leaves) of deviation {self.deviation:.4g}{mean}"

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw queries in float32. Shape as asked.

        Args:
            shape: (batch, channels, …): of any number of axes after the channels; with none, rows
                of normal entries about a common one.
            generator: The source of randomness, on the CPU.

        Returns:
            The queries.
        """
        colours = [self._colours(shape, generator)]
        upmost = torch.zeros(shape[0], *shape[2:], dtype=torch.uint8)  # the leaf of each pixel
        for leaf in range(1, 1 + LEAVES if len(shape) > 2 else 1):
            upmost.masked_fill_(_shape(shape, generator=generator), leaf)
            colours.append(self._colours(shape, generator))
        places = upmost[:, None].flatten(1).long()[:, None].expand(*shape[:2], -1)
        pictures = torch.stack(colours, dim=2).gather(2, places).view(shape)
        return self.mean + self.deviation * pictures

    def _colours(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """One a picture. Shape (batch, channels)."""
        grey = torch.randn(shape[0], 1, generator=generator)
        own = torch.randn(shape[:2], generator=generator)
        colours: Tensor = (grey + self.colour * own) / math.sqrt(1 + self.colour**2)
        return colours


def _shape(shape: tuple[int, ...], *, generator: Generator) -> Tensor:
    """Where one random shape in each picture is. Shape (batch, …)."""
    batch, sides = shape[0], shape[2:]
    low, high = SMALLEST * max(sides), LARGEST * max(sides)
    uniform = torch.rand(batch, generator=generator)
    radius = (low**-2 - (low**-2 - high**-2) * uniform).rsqrt()
    is_box = torch.rand(batch, generator=generator) < 0.5
    away = torch.zeros(batch, *[1] * len(sides))
    for axis, side in enumerate(sides):
        along = [1] * len(sides)
        along[axis] = side
        centre = torch.rand(batch, generator=generator) * 1.5 * side - 0.25 * side
        extent = radius * (STRETCH * torch.randn(batch, generator=generator)).exp()
        square = ((torch.arange(side) - centre[:, None]) / extent[:, None]).square()
        # A box is a sum too, of what is zero within its side and infinite beyond: so no picture is
        # gone through more often than sums are taken.
        beyond = torch.where(square < 1, 0.0, math.inf)
        away = away + torch.where(is_box[:, None], beyond, square).view(batch, *along)
    return away < 1
