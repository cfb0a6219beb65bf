"""Independent normal entries: the law under which moments have closed forms."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.moments import Isotropic, isotropic
from coreprune.queries.ball import check_positive


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Inputs with independent normal entries of mean zero.

    Attributes:
        deviation: σ > 0 of every entry, in the units of the input.

    Example:
        >>> Gaussian(2.0).moments(3).variance
        4.0
    """

    deviation: float = 1.0

    def __post_init__(self) -> None:
        check_positive("deviation", self.deviation)

    @property
    def words(self) -> str:
        """The law, for people."""
        return f"independent normal inputs of deviation {self.deviation:.4g}"

    def moments(self, dimension: int) -> Isotropic:
        """The law's own mean and covariance, for inputs of d entries."""
        return isotropic(dimension, float(self.deviation) ** 2)

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw queries in float32. Shape as asked."""
        return self.deviation * torch.randn(shape, generator=generator)
