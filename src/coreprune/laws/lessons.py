"""Queries that teach a pruned network, apart from those that only judge it."""

import math
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Generator

from coreprune.laws.augmentation import augmented
from coreprune.laws.calls import Law, calls_of
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.samples import Samples
from coreprune.shells.calls import Call
from coreprune.shells.network import Network

JUDGES = 8
"""One of so many matched queries only judges."""


def lessons(law: Law, subject: Network, *, seed: int, held_back: int, most: int) -> Iterator[Call]:
    """Calls without end, of which the first share no query with those that follow.

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
    for few in islice(augmented(queries[:judges], batch, generator=generator), held_back):
        yield subject.call.with_tensor(few)
    for many in augmented(queries[judges:], batch, generator=generator):
        yield subject.call.with_tensor(many)
