"""The moments of blocks' neurons while a folder's model runs on sequences of a law."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Generator, Tensor

from coreprune.core.moments import Moments, MomentSum
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.progress import Progress
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder.blocks import Block
from coreprune.shells.hf_folder.sequences import (
    drawn_sequences,
    sentence_sequences,
    vocabulary_of,
)
from coreprune.shells.hf_folder.transformer import (
    Transformer,
    modules_named,
    transformer_of,
    watching,
)

AT_ONCE = 2**28
"""Numbers in the moments of all blocks of one pass: the model runs again for those after them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What the neurons of a block gave.

    Attributes:
        moments: Theirs.
        rows: Over how many tokens.
    """

    moments: Moments
    rows: int


def seen_by_blocks(
    blocks: Sequence[Block],
    folder: Path,
    queries: Sentences | Tokens,
    *,
    wanted: int,
    seed: int,
    tell: Progress,
) -> Iterator[tuple[Block, Seen]]:
    """Run the folder's model and take the moments of every block's neurons, in float64.

    The whole model is in memory, in float32; of the moments as many as `AT_ONCE` allows.

    Args:
        blocks: Those that will be cut.
        folder: The Hugging Face folder.
        queries: What the model reads.
        wanted: How many random tokens; sentences are all read.
        seed: Fixes the tokens.
        tell: Called as (what, done, of).

    Yields:
        Each block with what its neurons gave; the same queries for all.

    Raises:
        ArgumentError: When transformers or a tokenizer is needed and missing.
        UnsupportedModelError: When transformers does not build the model with a layer for each
            block, or its neurons are not finite.
    """
    model = transformer_of(folder)
    modules_named(model, [_reader(block) for block in blocks])  # refused before any work
    if isinstance(queries, Sentences):
        sequences = sentence_sequences(queries, folder)
    else:
        sequences = _drawn(queries, folder, model, wanted=wanted, seed=seed)
    for part in _passes(blocks):
        found = _sums(part, model, sequences, tell=tell)
        for block in part:
            yield block, _seen(block, found[_reader(block)])


def _reader(block: Block) -> str:
    """The layer that reads the neurons."""
    return block.down.removesuffix(".weight")


def _passes(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    part: list[Block] = []
    for block in blocks:
        if part and sum(one.neurons**2 for one in (*part, block)) > AT_ONCE:
            yield part
            part = []
        part.append(block)
    yield part


def _drawn(
    queries: Tokens, folder: Path, model: Transformer, *, wanted: int, seed: int
) -> list[Tensor]:
    """Random sequences of so many tokens or a few more."""
    generator = Generator().manual_seed(seed)
    drawn = drawn_sequences(queries, vocabulary_of(folder, model), generator=generator)
    found = list(islice(drawn, 1))
    while sum(ids.numel() for ids in found) < wanted:
        found += islice(drawn, 1)
    return found


@torch.no_grad()
def _sums(
    blocks: Sequence[Block], model: Transformer, sequences: Sequence[Tensor], *, tell: Progress
) -> dict[str, MomentSum]:
    """What the readers of some blocks read, by their names.

    Raises:
        UnsupportedModelError: When the model does not run.
    """
    modules = modules_named(model, [_reader(block) for block in blocks])
    sums = {name: MomentSum() for name in modules}
    with watching(modules, lambda name, rows: sums[name].add(rows)):
        for done, ids in enumerate(sequences):
            tell("running the model", done, len(sequences))
            try:
                model(ids)
            except (RuntimeError, ValueError, TypeError, IndexError) as reason:
                raise UnsupportedModelError(
                    f"the model does not run on token ids alone ({reason}); leave out queries, "
                    "then it is not run"
                ) from reason
    return sums


def _seen(block: Block, total: MomentSum) -> Seen:
    """The moments of one block.

    Raises:
        ArgumentError: When no token reached it.
        UnsupportedModelError: When they are not finite.
    """
    if not total.count:
        raise ArgumentError(
            f"queries must reach every block, and none reached {block.name}; pass more"
        )
    moments = total.moments()
    if not (moments.mean.isfinite().all() and moments.covariance.isfinite().all()):
        raise UnsupportedModelError(
            f"{block.name} gives NaN or infinite values when the model runs; fetch the folder again"
        )
    return Seen(moments=moments, rows=total.count)
