"""A box: every feature between bounds of its own, as images are after their normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError

Bounds = float | Sequence[float] | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Inputs x with low ≤ x ≤ high, feature by feature, drawn independently.

    With a mean and a spread the features are normal with these and clipped to the box, else
    uniform in it. Each of the four is one number, or a tensor that broadcasts against one input
    from its last axis on: shape (3, 1, 1) for the channels of an image.

    Attributes:
        low: The lower bounds, finite.
        high: The upper bounds, finite, above the lower ones.
        mean: Of the features before clipping; None draws them uniformly.
        spread: Their standard deviation before clipping, positive.

    Example:
        >>> Box(-1.0, 2.0).sample((2, 3), generator=Generator()).shape
        torch.Size([2, 3])
    """

    low: Bounds
    high: Bounds
    mean: Bounds | None = None
    spread: Bounds | None = None

    def __post_init__(self) -> None:
        low, high = _tensor("low", self.low), _tensor("high", self.high)
        pairs = zip(reversed(low.shape), reversed(high.shape), strict=False)
        if any(one != other and 1 not in {one, other} for one, other in pairs):
            raise ArgumentError(
                f"low and high must broadcast, got {tuple(low.shape)} and {tuple(high.shape)}; "
                "give both one number a feature"
            )
        if not (low < high).all():
            raise ArgumentError(f"low must be below high, got {self.low} and {self.high}")
        if (self.mean is None) != (self.spread is None):
            raise ArgumentError("mean and spread come together; give both, or neither")
        if self.mean is not None and self.spread is not None:
            _tensor("mean", self.mean)
            if not (_tensor("spread", self.spread) > 0).all():
                raise ArgumentError(f"spread must be positive, got {self.spread}")

    @classmethod
    def of_images(cls, mean: Sequence[float], std: Sequence[float]) -> "Box":
        """Pixels in [0, 1] after the usual normalisation (x − mean) / std of every channel.

        They are drawn with mean 0 and spread 1, which is what the normalisation is for.

        Args:
            mean: One a channel.
            std: One a channel.

        Returns:
            The box of images of shape (channels, height, width).

        Raises:
            ArgumentError: When a number is missing, or a deviation not positive.

        Example:
            >>> Box.of_images([0.5], [0.25]).high.flatten().tolist()
            [2.0]
        """
        pairs = {"mean": _tensor("mean", mean), "std": _tensor("std", std)}
        for name, tensor in pairs.items():
            if tensor.ndim != 1 or len(tensor) != len(pairs["mean"]):
                raise ArgumentError(f"{name} must hold one number a channel, got {tensor.tolist()}")
        if not (pairs["std"] > 0).all():
            raise ArgumentError(f"std must be positive, got {std}")
        centre, scale = (tensor[:, None, None] for tensor in pairs.values())
        return cls(-centre / scale, (1 - centre) / scale, mean=0.0, spread=1.0)

    @property
    def words(self) -> str:
        """The law, for people."""
        kind = "uniform" if self.mean is None else "normal and clipped"
        bounds = f"{_extremes(self.low)} to {_extremes(self.high)}"
        return f"independent inputs, {kind} in the box from {bounds}"

    def radius(self, shape: tuple[int, ...]) -> float:
        """The largest norm of an input of this shape, without the batch."""
        corner = torch.maximum(_tensor("low", self.low).abs(), _tensor("high", self.high).abs())
        self._check_fits(shape)
        return float(torch.linalg.vector_norm(corner.expand(shape).double()))

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw queries in float32. Shape as asked, the batch first.

        Raises:
            ArgumentError: When a bound does not broadcast against one input.
        """
        self._check_fits(shape[1:])
        low, high = _tensor("low", self.low), _tensor("high", self.high)
        if self.mean is None or self.spread is None:
            return low + (high - low) * torch.rand(shape, generator=generator)
        noise = torch.randn(shape, generator=generator)
        drawn = _tensor("mean", self.mean) + _tensor("spread", self.spread) * noise
        return torch.minimum(torch.maximum(drawn, low), high)

    def _check_fits(self, shape: tuple[int, ...]) -> None:
        for name in ("low", "high", "mean", "spread"):
            value = getattr(self, name)
            own = () if value is None else tuple(_tensor(name, value).shape)
            pairs = zip(reversed(own), reversed(shape), strict=False)
            if len(own) > len(shape) or any(size not in {1, wanted} for size, wanted in pairs):
                raise ArgumentError(
                    f"{name} has shape {own}, which does not broadcast against an input of shape "
                    f"{tuple(shape)}; for the channels of an image give shape (channels, 1, 1)"
                )


def _tensor(name: str, value: Bounds) -> Tensor:
    try:
        tensor = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as reason:
        raise ArgumentError(f"{name} must be a number or a tensor, got {value!r}") from reason
    if not tensor.isfinite().all():
        raise ArgumentError(f"{name} must be finite, got {value}")
    return tensor


def _extremes(value: Bounds) -> str:
    tensor = torch.as_tensor(value, dtype=torch.float32)
    low, high = float(tensor.min()), float(tensor.max())
    return f"{low:.4g}" if low == high else f"{low:.4g}…{high:.4g}"
