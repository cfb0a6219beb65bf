"""What a normalisation lets through: the law of its outputs and all that they can be."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.moments import Moments
from coreprune.core.query_set import QuerySet, ellipsoid
from coreprune.errors import ArgumentError

ROUNDINGS = 4
"""How often an output is rounded at most: as v, times g, plus b, and once to spare."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normalised:
    """Outputs x = g ⊙ v + b of a LayerNorm or an RMSNorm, v a normalised Gaussian vector.

    Whatever a norm reads, v has ‖v‖ ≤ √d, and Σ v = 0 behind a LayerNorm. A Gaussian vector,
    normalised, is uniform on that sphere.

    Attributes:
        gain: g, as it multiplies. Shape (d,).
        bias: b; None where there is none. Shape (d,).
        centred: Whether the norm subtracts the mean, as LayerNorm does and RMSNorm does not.

    Example:
        >>> law = Normalised(gain=torch.ones(4), bias=None, centred=False)
        >>> law.sample(3, generator=Generator()).norm(dim=1).tolist()
        [2.0, 2.0, 2.0]
    """

    gain: Tensor
    bias: Tensor | None
    centred: bool

    @property
    def words(self) -> str:
        """The law, for people."""
        return "a normalised Gaussian through the gain and bias of the norm before the block"

    def moments(self) -> Moments:
        """The mean b and the covariance G C G of x.

        C = I behind an RMSNorm and d/(d − 1) · (I − 11ᵀ/d) behind a LayerNorm: exact, as v is
        uniform on a sphere.
        """
        g = self.gain.double()
        d = len(g)
        covariance = torch.diag(g.square())
        if self.centred:
            covariance = (covariance - torch.outer(g, g) / d) * (d / max(1, d - 1))
        return Moments(mean=self._shift(), covariance=covariance)

    def sample(self, count: int, *, generator: Generator) -> Tensor:
        """Draw outputs of the norm in float64. Shape (count, d)."""
        g = self.gain.double()
        v = torch.randn(count, len(g), dtype=torch.float64, generator=generator).to(g.device)
        if self.centred:
            v -= v.mean(1, keepdim=True)
        v /= v.square().mean(1, keepdim=True).sqrt().clamp_min(torch.finfo(v.dtype).tiny)
        return v * g + self._shift()

    def space(self, dtype: torch.dtype) -> QuerySet:
        """All that the norm can give when its output is rounded to `dtype`.

        With ε = 4 u for its roundings, u the unit roundoff, the outputs are among x = b + D w,
        ‖w‖ ≤ 1, where

            D = [ √(1 + √ε) (1 + 2ε) √d G (I − (1 − √ε) 11ᵀ/d),  √(1 + 1/√ε) ε √d diag(b) ] :

        the first part holds all g ⊙ v with ‖v‖ ≤ (1 + ε) √d and |Σ v| ≤ ε d, the second what
        rounding the sum with b can add. Behind an RMSNorm there is no projection, without a bias no
        second part and no first factor. Mean and deviation must be taken in a precision, such as
        float32, in which they are right to ε of the deviation.

        Args:
            dtype: What the outputs are rounded to.

        Returns:
            An ellipsoid around b, in float64.
        """
        g, d = self.gain.double(), len(self.gain)
        eps = ROUNDINGS * torch.finfo(dtype).eps / 2
        root = math.sqrt(eps)
        axes = (1 + 2 * eps) * math.sqrt(d) * g
        if self.centred:
            projection = torch.eye(d, dtype=torch.float64, device=g.device)
            axes = axes[:, None] * (projection - (1 - root) / d)
        if self.bias is not None and self.bias.any():
            first = axes if axes.ndim == 2 else torch.diag(axes)
            second = torch.diag(eps * math.sqrt(d) * self._shift())
            axes = torch.cat([math.sqrt(1 + root) * first, math.sqrt(1 + 1 / root) * second], dim=1)
        return ellipsoid(axes, centre=self._shift())

    def _shift(self) -> Tensor:
        g = self.gain.double()
        return torch.zeros_like(g) if self.bias is None else self.bias.double()


LEAST = 10
"""Queries a neuron, at least: with three, a transformer lost a whole point of its score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindNorms:
    """Each block's queries come from the norm before it: a `Normalised` law with its tensors.

    Attributes:
        per_neuron: How many queries are drawn for every neuron of a block; None for moments in
            closed form, which take the Gaussian vector as it is before it is normalised.

    Example:
        >>> BehindNorms(per_neuron=20).words
        'normalised Gaussian vectors through the norm before each block, 20 a neuron'
    """

    per_neuron: int | None = None

    def __post_init__(self) -> None:
        count = self.per_neuron
        if count is not None and (isinstance(count, bool) or count < LEAST):
            raise ArgumentError(
                f"per_neuron must be None, for moments in closed form, or at least {LEAST}, "
                f"got {count}"
            )

    @property
    def words(self) -> str:
        """The law, for people."""
        how = "in closed form" if self.per_neuron is None else f"{self.per_neuron} a neuron"
        return f"normalised Gaussian vectors through the norm before each block, {how}"
