"""The Euclidean ball around the origin."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Ball:
    """All inputs x with ‖x‖ ≤ radius, an input being one example without its batch axis.

    Attributes:
        radius: β > 0, in the units of the input.

    Example:
        >>> Ball(9.2).radius
        9.2
    """

    radius: float

    def __post_init__(self) -> None:
        check_positive("radius", self.radius)

    @property
    def words(self) -> str:
        """The law, for people."""
        return f"inputs of norm {self.radius:.4g} in random directions"

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Queries of norm β in directions drawn uniformly: where convex errors are largest.

        Args:
            shape: (batch, …): the batch and the shape of one input.
            generator: The source of randomness, on the CPU.

        Returns:
            The queries in float32. Shape as asked.
        """
        directions = torch.randn(shape, generator=generator).flatten(1)
        norms: Tensor = torch.linalg.vector_norm(directions, dim=1, keepdim=True)
        return (directions * (self.radius / norms)).view(shape)


def check_positive(name: str, value: object) -> None:
    """Refuse what cannot be a size.

    Raises:
        ArgumentError: When it is not a positive, finite number.
    """
    if not isinstance(value, int | float | np.floating | np.integer) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} must be positive and finite, got {value!r}")
