"""Inputs that batch normalisations take for the data: made from what they remember of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.queries.ball import check_positive
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian

LEAST_SHARE = 1e-3
"""The least variance that a channel counts with, as a share of its layer's mean variance: one that
never changed must not outweigh all others."""

ENOUGH = 1e-4
"""The mismatch a layer at which a batch counts as matched: statistics are within a hundredth of the
remembered deviations."""

SMALLEST = 1e-12
"""The least variance of all, where a layer's variances are all zero."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """What one batch normalisation sees of a batch, and what it remembers of the data.

    Attributes:
        mean: Of each channel over the batch, differentiable. Shape (c,).
        variance: Of each channel over the batch, differentiable. Shape (c,).
        known_mean: The running mean. Shape (c,).
        known_variance: The running variance. Shape (c,).
    """

    mean: Tensor
    variance: Tensor
    known_mean: Tensor
    known_variance: Tensor


StatisticsOf = Callable[[Tensor], Sequence[Statistics]]
"""What every batch normalisation of a network sees of a batch of inputs; there is at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNormMatched:
    """Pictures moved until every batch normalisation sees the statistics it remembers.

    From x₀ of the law `DeadLeaves` (standard normal where inputs have no axes but their channels)
    at most `steps` steps of Adam descend

        L(x) = Σ_layers mean_c ( (μ_c − m_c)² / v_c + (σ_c − √v_c)² / v_c ),

    μ_c and σ_c the mean and deviation of channel c over a batch of images, m_c and v_c the running
    mean and variance. Images of one batch are made together and differ: the statistics are those
    of the batch.

    Attributes:
        examples: How many images are made, at least 2.
        steps: How many steps each takes at most; fewer where the statistics are met before.
        rate: The length of a step as a share of the deviation.
        batch: How many images are matched together, at least 2; fewer where images are large.
        deviation: σ > 0 of the entries of x₀, in the units of the input.

    References:
        Cai et al. 2020, "ZeroQ: A Novel Zero Shot Quantization Framework"; Yin et al. 2020,
        "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion".
    """

    examples: int = 512
    steps: int = 80
    rate: float = 0.1
    batch: int = 128
    deviation: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("examples", 2), ("steps", 0), ("batch", 2)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ArgumentError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )
        check_positive("rate", self.rate)
        check_positive("deviation", self.deviation)

    @property
    def words(self) -> str:
        """The law, for people."""
        return (
            f"{self.examples} inputs moved from random pictures in {self.steps} steps at most "
            "until batch normalisations see the means and variances they remember"
        )

    def sample(
        self,
        shape: tuple[int, ...],
        *,
        statistics: StatisticsOf,
        generator: Generator,
        step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Make one batch of queries in float32. Shape as asked, the batch first.

        Args:
            shape: (batch, …).
            statistics: Differentiated by the queries.
            generator: The source of randomness, on the CPU.
            step: Called with the number of steps taken, after each.

        Returns:
            The queries.
        """
        pictures = DeadLeaves().sample if len(shape) > 2 else Gaussian().sample
        scaled = pictures(shape, generator=generator)
        optimizer = torch.optim.Adam([scaled.requires_grad_()], lr=self.rate)
        for taken in range(self.steps):
            with torch.enable_grad():
                layers = statistics(self.deviation * scaled)
                loss = mismatch(layers)
                if float(loss.detach()) <= ENOUGH * len(layers):
                    break
                (gradient,) = torch.autograd.grad(loss, scaled)
            scaled.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
            optimizer.step()
            if step is not None:
                step(taken + 1)
        return self.deviation * scaled.detach()


def mismatch(layers: Sequence[Statistics]) -> Tensor:
    """How far the statistics of a batch are from those that layers remember.

    Args:
        layers: Of each batch normalisation, at least one.

    Returns:
        L as in `BatchNormMatched`, v_c no less than a thousandth of its layer's mean. A scalar.

    Example:
        >>> one = torch.ones(2)
        >>> seen = Statistics(mean=3 * one, variance=one, known_mean=one, known_variance=4 * one)
        >>> round(float(mismatch([seen])), 3)
        1.25
    """
    total = layers[0].mean.new_zeros(())
    for layer in layers:
        variance = layer.known_variance.clamp_min(0.0)
        floor = max(LEAST_SHARE * float(variance.mean()), SMALLEST)
        counted = variance.clamp_min(floor)
        # floored as well: the derivative of a root at zero is infinite
        deviation = (layer.variance + LEAST_SHARE * floor).sqrt()
        apart = (layer.mean - layer.known_mean).square() + (deviation - variance.sqrt()).square()
        total = total + (apart / counted).mean()
    return total
