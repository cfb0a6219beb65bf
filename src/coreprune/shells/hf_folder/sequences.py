"""Sequences of token ids for a folder's model, drawn or made from the user's sentences.

All sequences of a batch have one length, so that nothing is padded and no row of what layers read
is to be left out.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import LONGEST, SHORTEST, Tokens
from coreprune.shells.hf_folder.transformer import Transformer, tokenizer_of

BATCH = 64
"""Sequences of one batch at most."""
LONG = 512
"""Tokens of one sentence at most; what is behind them is cut off."""
UNUSED = re.compile(r"[\[<]unused_?\d+[\]>]")
"""What vocabularies call ids that no text has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """What a sequence can be made of.

    Attributes:
        ids: The tokens of texts, in the vocabulary's order. Shape (v,).
        before: The special tokens that begin every sequence.
        behind: Those that end it.
        longest: How many tokens the model takes; None where its config does not say.
    """

    ids: Tensor
    before: tuple[int, ...]
    behind: tuple[int, ...]
    longest: int | None


def vocabulary_of(folder: Path, model: Transformer) -> Vocabulary:
    """The tokens of a folder's model.

    Args:
        folder: Holds the tokenizer; where there is none, every id counts as a token of texts.
        model: Says how many ids there are.

    Returns:
        The vocabulary without special and unused tokens.
    """
    config = model.model.config
    size = int(config.vocab_size)
    longest = getattr(config, "max_position_embeddings", None)
    tokenizer = tokenizer_of(folder)
    if tokenizer is None:
        special = {
            getattr(config, f"{name}_token_id", None)
            for name in ("pad", "bos", "eos", "cls", "sep", "mask", "unk")
        }
        ids = [one for one in range(size) if one not in special]
        return Vocabulary(ids=torch.tensor(ids), before=(), behind=(), longest=longest)
    there = min(size, len(tokenizer))
    names = tokenizer.convert_ids_to_tokens(list(range(there)))
    special = set(tokenizer.all_special_ids)
    ids = [
        one
        for one, name in enumerate(names)
        if one not in special and not UNUSED.fullmatch(str(name))
    ]
    before, behind = _around(tokenizer)
    return Vocabulary(ids=torch.tensor(ids), before=before, behind=behind, longest=longest)


def _around(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:  # noqa: ANN401
    """The special tokens that a tokenizer puts around a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return tuple(whole[:start]), tuple(whole[start + len(bare) :])
    return (), ()


def drawn_sequences(
    law: Tokens, vocabulary: Vocabulary, *, generator: Generator, batch: int = BATCH
) -> Iterator[Tensor]:
    """Batches of random tokens between the special ones, without end.

    Args:
        law: Says which, and how long sequences are.
        vocabulary: The model's.
        generator: The source of randomness, on the CPU.
        batch: Sequences in a batch.

    Yields:
        Ids. Shape (batch, l).

    Raises:
        ArgumentError: When the model takes no sequence so long, or has no such token.
    """
    own = vocabulary.ids
    ids = own if law.vocabulary is None else own[own < law.vocabulary]
    around = len(vocabulary.before) + len(vocabulary.behind)
    most = (vocabulary.longest or LONG) - around
    if law.length is not None and vocabulary.longest is not None and law.length > most:
        raise ArgumentError(
            f"length must be at most the {most} tokens that the model takes beside the "
            f"{around} special ones, got {law.length}; leave it out for lengths that fit"
        )
    if not len(ids):
        raise ArgumentError(
            f"vocabulary must leave some of the model's tokens, the least of which is "
            f"{int(own.min())}, got {law.vocabulary}; leave it out for all"
        )
    begin, end = (
        torch.tensor(part, dtype=torch.int64).expand(batch, -1)
        for part in (vocabulary.before, vocabulary.behind)
    )
    while True:
        length = law.length
        if length is None:
            longest = min(LONGEST, most)
            low = min(SHORTEST, longest)
            length = int(torch.randint(low, longest + 1, (), generator=generator))
        picked = torch.randint(len(ids), (batch, length), generator=generator)
        yield torch.cat([begin, ids[picked], end], dim=1)


def sentence_sequences(law: Sentences, folder: Path, *, batch: int = BATCH) -> list[Tensor]:
    """The user's sentences through the folder's tokenizer, those of one length together.

    Args:
        law: The sentences.
        folder: Holds the tokenizer.
        batch: Sequences in a batch at most.

    Returns:
        Batches of ids from the shortest to the longest. Shapes (b, l).

    Raises:
        ArgumentError: When the folder has no tokenizer.
    """
    tokenizer = tokenizer_of(folder)
    if tokenizer is None:
        raise ArgumentError(
            f"queries=Sentences(...) needs the folder's tokenizer, and {folder} has none that "
            "transformers can build; add its files, or pass Tokens()"
        )
    most = min(LONG, int(tokenizer.model_max_length))
    found = tokenizer(list(law.lines()), truncation=True, max_length=most)["input_ids"]
    alike = itertools.groupby(sorted(found, key=len), key=len)
    return [torch.tensor(part) for _, group in alike for part in _parts(list(group), batch)]


def _parts(rows: Sequence[list[int]], size: int) -> Iterator[Sequence[list[int]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
