"""The same queries again and again, never twice alike: mirrored, moved, pasted into each other."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

MIRRORED, SHIFT = 0.5, 0.1
"""The share of queries that is mirrored along the last axis when they are used again, and the part
of an axis by which they are moved at most."""

PASTED, SIDES = 0.5, (0.25, 0.75)
"""The share of queries into which a piece of another is pasted, and how much of each axis the piece
takes."""


def augmented(queries: Tensor, batch: int, *, generator: Generator) -> Iterator[Tensor]:
    """Random batches without end: queries mirrored, moved and pasted into each other.

    On average that keeps the means and variances of the queries' channels, and roughly what layers
    behind them see.

    Args:
        queries: Shape (N, c, ...); without axes behind the channels they are only mixed.
        batch: How many at a time; in a batch each is there once before any is there again.
        generator: The source of randomness, on the CPU.

    Yields:
        Shape (batch, c, ...).

    References:
        Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with
        Localizable Features".
    """
    axes = list(range(2, queries.ndim))
    while True:
        orders = [
            torch.randperm(len(queries), generator=generator)
            for _ in range(math.ceil(batch / len(queries)))
        ]
        chosen = queries[torch.cat(orders)[:batch].to(queries.device)]
        if axes:
            mirrored = (torch.rand(batch, generator=generator) < MIRRORED).to(queries.device)
            chosen[mirrored] = chosen[mirrored].flip(axes[-1])
            moves = [_drawn_move(size, generator) for size in queries.shape[2:]]
            pasted = _pieces(batch, queries.shape[2:], generator).to(queries.device)
            chosen = torch.roll(chosen, moves, axes)
            chosen = torch.where(pasted, chosen.roll(1, 0), chosen)
        yield chosen


def _pieces(batch: int, sizes: Sequence[int], generator: Generator) -> Tensor:
    """Where half of the queries have a box of another. Shape (batch, 1, ...)."""
    least, most = SIDES
    inside = torch.rand(batch, generator=generator) < PASTED
    inside = inside.view(batch, *[1] * (len(sizes) + 1))
    for axis, size in enumerate(sizes, start=2):
        side = least + (most - least) * torch.rand(batch, 1, generator=generator)
        start = (1 - side) * torch.rand(batch, 1, generator=generator)
        place = (torch.arange(size) + 0.5) / size
        shape = [batch if one == 0 else size if one == axis else 1 for one in range(inside.ndim)]
        inside = inside & ((start <= place) & (place < start + side)).view(shape)
    return inside


def _drawn_move(size: int, generator: Generator) -> int:
    most = int(size * SHIFT)
    return int(torch.randint(-most, most + 1, (), generator=generator))
