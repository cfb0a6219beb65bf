"""Independent normal entries: the law under which moments have closed forms."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.moments import Isotropic, isotropic
from coreprune.queries.ball import check_positive


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Inputs with independent normal entries of one deviation.

    Attributes:
        deviation: σ > 0 of every entry, in the units of the input.
        mean: Of all entries, or of each: a tensor with as many as an input has.

    Example:
        >>> Gaussian(2.0).moments(3).variance
        4.0
    """

    deviation: float = 1.0
    mean: float | Tensor = 0.0

    def __post_init__(self) -> None:
        check_positive("deviation", self.deviation)

    @property
    def words(self) -> str:
        """The law, for people."""
        mean = "" if self._is_centred() else " about a mean of their own"
        return f"independent normal inputs of deviation {self.deviation:.4g}{mean}"

    def moments(self, dimension: int) -> Isotropic:
        """The law's own mean and covariance, for inputs of d entries."""
        centred = isotropic(dimension, float(self.deviation) ** 2)
        if self._is_centred():
            return centred
        mean = torch.as_tensor(self.mean, dtype=torch.float64).flatten().expand(dimension)
        return Isotropic(mean=mean, variance=centred.variance)

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw queries in float32. Shape as asked."""
        noise = self.deviation * torch.randn(shape, generator=generator)
        if self._is_centred():
            return noise
        mean = torch.as_tensor(self.mean, dtype=torch.float32)
        return noise + (mean.cpu().reshape(shape[1:]) if mean.numel() > 1 else mean)

    def _is_centred(self) -> bool:
        return not isinstance(self.mean, Tensor) and self.mean == 0
