"""An ellipsoid, as inputs fill whose spread differs from direction to direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.errors import ArgumentError

Numbers = Sequence[float] | Sequence[Sequence[float]] | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """All inputs x = centre + root · v with ‖v‖ ≤ 1, an input being one flat example.

    Attributes:
        centre: Shape (d,).
        root: Half-axes along the coordinates, or any matrix, such as a multiple of a root of a
            covariance. Shape (d,) or (d, e).

    Example:
        >>> Ellipsoid([0.0, 1.0], [2.0, 0.5]).words
        'the ellipsoid of 2 half-axes around the given centre'
    """

    centre: Sequence[float] | Tensor
    root: Numbers

    def __post_init__(self) -> None:
        centre, root = self.tensors()
        if centre.ndim != 1 or root.ndim not in {1, 2} or len(root) != len(centre):
            raise ArgumentError(
                "centre must have shape (d,) and root (d,) or (d, e), got "
                f"{tuple(centre.shape)} and {tuple(root.shape)}"
            )
        if not (centre.isfinite().all() and root.isfinite().all()):
            raise ArgumentError("centre and root must be finite, got NaN or infinite entries")

    @property
    def words(self) -> str:
        """The space, for people."""
        _, root = self.tensors()
        return f"the ellipsoid of {root.shape[-1]} half-axes around the given centre"

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Centre and root in float64. Shapes (d,) and (d,) or (d, e)."""
        return (
            torch.as_tensor(self.centre, dtype=torch.float64).detach().cpu(),
            torch.as_tensor(self.root, dtype=torch.float64).detach().cpu(),
        )
