"""Queries with the covariance that the first layer's weights have learnt."""

from collections.abc import Iterator

import torch
from torch import Generator, nn

from coreprune.shells.torch_module.calls import Call


def queries(
    model: nn.Sequential, *, deviation: float, share: float, batch: int, seed: int
) -> Iterator[Call]:
    """Without end, batches of normal inputs with the covariance of the first layer's rows.

    With P the weights of fc1 and d inputs, x ~ N(0, σ² ((1 − a) d PᵀP / tr PᵀP + a I)): a first
    layer turns its rows towards the directions in which its inputs vary. No data are read.

    Args:
        model: LeNet-300-100.
        deviation: σ, the root mean square of an entry.
        share: a, the share of the variance that is the same in all directions.
        batch: Queries a call.
        seed: Of the draws.

    Yields:
        The calls.
    """
    points = model.fc1.weight.detach()
    scale = (points.shape[1] / points.square().sum()).sqrt()
    generator = Generator().manual_seed(seed)
    while True:
        along = torch.randn(batch, len(points), generator=generator) @ (scale * points)
        around = torch.randn(batch, points.shape[1], generator=generator)
        mixed = (1 - share) ** 0.5 * along + share**0.5 * around
        yield Call(args=(deviation * mixed,))
