"""Queries that teach a pruned network, apart from those that only judge it."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Generator, Tensor

from coreprune.laws.calls import Law, calls_of
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.samples import Samples
from coreprune.shells.calls import Call
from coreprune.shells.network import Network

JUDGES = 8
"""One of so many matched queries only judges."""

MIRRORED, SHIFT = 0.5, 10
"""The share of queries that is mirrored along the last axis when they are used again, and the part
of an axis by which they are moved at most."""

PASTED, SIDES = 0.5, (0.25, 0.75)
"""The share of queries into which a piece of another is pasted, and how much of each axis the piece
takes."""


def lessons(law: Law, subject: Network, *, seed: int, held_back: int, most: int) -> Iterator[Call]:
    """Calls without end, none of which holds a query of the first ones.

    Samples are gone through again and again. Matched queries are mixed, mirrored and moved: never
    the same again.

    Args:
        law: What inputs are like.
        subject: The model under work.
        seed: Fixes what is drawn.
        held_back: How many calls are the first ones.
        most: Queries in one call, where they are drawn.

    Yields:
        Calls.

    Raises:
        ArgumentError: When there are no samples for more calls than the first ones.
    """
    if isinstance(law, Samples):
        judges, teachers = law.parted(held_back)
        yield from calls_of(judges, subject, seed=seed)
        while True:
            yield from calls_of(teachers, subject, seed=seed)
    elif isinstance(law, BatchNormMatched):
        yield from _matched(law, subject, seed=seed, held_back=held_back)
    else:
        yield from calls_of(law, subject, seed=seed, most=most)


def _matched(
    law: BatchNormMatched, subject: Network, *, seed: int, held_back: int
) -> Iterator[Call]:
    made = [call.tensors()[0] for call in calls_of(law, subject, seed=seed)]
    queries, batch = torch.cat(made), len(made[0])
    generator = Generator().manual_seed(seed)
    judges = math.ceil(len(queries) / JUDGES)
    for few in islice(varied(queries[:judges], batch, generator=generator), held_back):
        yield subject.call.with_tensor(few)
    for many in varied(queries[judges:], batch, generator=generator):
        yield subject.call.with_tensor(many)


def varied(queries: Tensor, batch: int, *, generator: Generator) -> Iterator[Tensor]:
    """Random batches without end: queries mirrored, moved and pasted into each other.

    All of this keeps what batch normalisations see, on average.

    Args:
        queries: Shape (N, c, ...); without axes behind the channels they are only mixed.
        batch: How many at a time; each is there once before any is there again.
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
    most = size // SHIFT
    return int(torch.randint(-most, most + 1, (), generator=generator))
