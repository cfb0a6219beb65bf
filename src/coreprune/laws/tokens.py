"""Calls with random tokens where the network looks its inputs up in tables."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.queries.tokens import Tokens
from coreprune.shells.calls import Call, batch_size
from coreprune.shells.network import Network

AT_ONCE = 4096
"""Tokens in one call, about, where the network takes such batches."""


def reads_tokens(subject: Network) -> bool:
    """Whether the first tensor that enters the network is looked up in a table."""
    return _first(subject.call) in subject.tables


def tokens_of(law: Tokens, subject: Network) -> Tokens:
    """A law with the network's own number of tokens where it has none.

    Args:
        law: What the user asks for.
        subject: The model under work.

    Returns:
        The law, which can be drawn from.

    Raises:
        ArgumentError: When the network reads no tokens, or has fewer than the law.
    """
    place = _first(subject.call)
    rows = None if place is None else subject.tables.get(place)
    if place is None or not _is_whole(subject.call.leaves()[place]):
        raise ArgumentError(
            f"queries=Tokens(...) needs whole numbers as the first input, which {subject.kind} "
            "does not read; leave queries out"
        )
    if rows is None and law.vocabulary is None:
        raise ArgumentError(
            f"queries=Tokens() needs vocabulary, because no table is seen in which {subject.kind} "
            "looks its first input up; pass Tokens(vocabulary=...)"
        )
    if law.vocabulary is not None and rows is not None and law.vocabulary > rows:
        raise ArgumentError(
            f"vocabulary must be at most {rows}, the rows of the table in which {subject.kind} "
            f"looks tokens up, got {law.vocabulary}; leave it out"
        )
    return law if law.vocabulary is not None else replace(law, vocabulary=rows)


def token_calls(law: Tokens, subject: Network, *, generator: Generator) -> Iterator[Call]:
    """Without end, calls with random tokens, in large batches if they run.

    Inputs of the tokens' shape that no table is asked for are masks: they are ones, everything
    counts. What has another shape stays as in the example.

    Args:
        law: With a vocabulary, see `tokens_of`.
        subject: The model under work.
        generator: The source of randomness, on the CPU.

    Yields:
        Calls, of the example's batch size at the least.

    Raises:
        ArgumentError: When the network does not run on sequences of the length asked for.
    """
    own = batch_size(subject.call)
    for batch in (_many(law, subject), own):
        call = _drawn(law, subject, batch, generator=generator)
        try:
            subject.run(call)
            break
        except Exception as reason:
            if batch == own:
                raise ArgumentError(
                    f"queries, {law.words}, must run through the model, but it raised "
                    f"{type(reason).__name__}: {reason}; pass another length, or leave it out"
                ) from reason
    yield call
    while True:
        yield _drawn(law, subject, batch, generator=generator)


def _many(law: Tokens, subject: Network) -> int:
    ids = subject.call.tensors()[0]
    return max(len(ids), AT_ONCE // (law.length or max(1, ids[0].numel())))


def _drawn(law: Tokens, subject: Network, batch: int, *, generator: Generator) -> Call:
    leaves, tables = subject.call.leaves(), subject.tables
    first = _first(subject.call)
    ids = subject.call.tensors()[0]
    places = iter(range(len(leaves)))

    def swap(leaf: object) -> object:
        place = next(places)
        if not isinstance(leaf, Tensor) or leaf.ndim == 0 or len(leaf) != len(ids):
            return leaf
        shape = _shape(leaf, ids, batch=batch, length=law.length)
        if place == first or place in tables:
            own = law if place == first else Tokens(vocabulary=tables[place])
            return own.sample(shape, generator=generator).to(leaf)
        if leaf.shape == ids.shape:
            return torch.ones(shape, dtype=leaf.dtype, device=leaf.device)
        return leaf[torch.arange(batch, device=leaf.device) % len(leaf)]

    return subject.call.mapped(swap)


def _shape(leaf: Tensor, ids: Tensor, *, batch: int, length: int | None) -> tuple[int, ...]:
    """The example's, with another batch, and of sequences like the tokens' with another length."""
    if length is not None and leaf.ndim > 1 and leaf.shape[1] == ids.shape[1]:
        return (batch, length, *leaf.shape[2:])
    return (batch, *leaf.shape[1:])


def _first(call: Call) -> int | None:
    """The position of the first tensor among the leaves of a call."""
    leaves = call.leaves()
    return next((place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)), None)


def _is_whole(leaf: Tensor) -> bool:
    is_number = not leaf.is_floating_point() and not leaf.is_complex()
    return is_number and leaf.dtype != torch.bool and leaf.ndim > 0
