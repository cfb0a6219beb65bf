"""Cut one feed-forward block: from its tensors as stored to its tensors as they will be."""

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.coreset import Method
from coreprune.core.feed_forward import FeedForward, neuron_moments, neurons, outputs
from coreprune.core.feed_forward_certificate import block_certificate
from coreprune.core.feed_forward_coreset import block_coreset
from coreprune.core.moments import Moments, MomentSum, mixed
from coreprune.core.subset import WeightedSubset
from coreprune.errors import UnsupportedModelError
from coreprune.queries.normalised import BehindNorms, Normalised
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder.blocks import Block
from coreprune.shells.hf_folder.families import NORMS
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.seen import Seen
from coreprune.shells.hf_folder.stored import Tensors, cut_tensors, feed_forward, law_of

FolderLaw = BehindNorms | Sentences | Tokens
"""What blocks of a folder read: known from the weights, or seen while the model runs."""

_ROWS = 2**22  # numbers of one batch of neurons
NORMS_SHARE = 0.2
"""How much the law behind the norm counts beside random tokens, which alone leave out much of what
texts do: a sentence transformer lost a point of its score without it."""
_CHECKED = 512
"""Queries on which the cut block as stored is compared with what it should be."""
_TOLERANCE = 1e-9


def words_of(queries: FolderLaw) -> str:
    """The law, for people."""
    if not isinstance(queries, Tokens):
        return queries.words
    return f"{queries.words}, and for a share of {NORMS_SHARE:g} {BehindNorms().words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How blocks are to be cut.

    Attributes:
        method: How to choose neurons.
        queries: The law.
        seed: Of all draws.
        threads: Of torch for every block. Sums are split among them, so that last digits depend on
            their number: it belongs to the wish, whoever cuts the block.
    """

    method: Method
    queries: FolderLaw
    seed: int
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutBlock:
    """A cut block.

    Attributes:
        tensors: Those that the cut changes, as stored.
        record: What was done.
    """

    tensors: dict[str, Tensor]
    record: BlockRecord


def cut_block(
    block: Block,
    tensors: Tensors,
    *,
    num_neurons: int,
    wish: Wish,
    seen: Seen | None = None,
) -> CutBlock:
    """Cut one block; nothing of the model but its own tensors and the norm's is needed.

    Args:
        block: The block.
        tensors: Its tensors as stored.
        num_neurons: m, between 1 and n − 1.
        wish: How.
        seen: What its neurons gave, where the law is one that runs the model.

    Returns:
        The cut block; the same whichever blocks were cut before.

    Raises:
        UnsupportedModelError: When the cut block as stored is not what was computed.
    """
    generator = Generator().manual_seed(_seed_of(block, wish.seed))
    original, law = feed_forward(block, tensors), law_of(block, tensors)
    _check_finite(block, original, law)
    dtype = tensors[block.down].dtype
    space = law.space(tensors[block.gate].dtype)
    chosen = block_coreset(
        original,
        num_neurons=num_neurons,
        method=wish.method,
        moments=_moments(original, law, wish.queries, seen=seen, generator=generator),
        space=space,
        dtype=dtype,
        generator=generator,
    )
    stored = cut_tensors(block, tensors, chosen.subset)
    cut = feed_forward(block, {**tensors, **stored})
    change = _compared(
        original, cut, chosen.subset, x=law.sample(_CHECKED, generator=generator), name=block.name
    )
    proven = block_certificate(original, indices=chosen.subset.indices, cut=cut, space=space)
    outputs_count = len(original.weights)
    record = BlockRecord(
        name=block.name,
        neurons_before=block.neurons,
        neurons_after=num_neurons,
        kept=tuple(chosen.subset.indices.tolist()),
        activation=original.activation.name,
        expected_error=math.sqrt(chosen.expected_error / outputs_count),
        relative_error=math.sqrt(chosen.expected_error / max(chosen.output_variance, 1e-300)),
        certificate=float(proven.bound.amax()),
        certificate_norm=proven.norm,
        largest_seen=change,
        space=_words(block, tensors[block.gate].dtype),
        ridge=chosen.subset.ridge,
        condition_number=chosen.subset.condition_number,
        num_draws=chosen.subset.num_draws,
        rows=None if seen is None else seen.rows,
    )
    return CutBlock(tensors=stored, record=record)


def _seed_of(block: Block, seed: int) -> int:
    """A seed of the block's own, so that no block's draws depend on another's."""
    digest = hashlib.sha256(f"{seed} {block.name}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _check_finite(block: Block, original: FeedForward, law: Normalised) -> None:
    """Refuse weights that no law can be put on.

    Raises:
        UnsupportedModelError: When an entry is NaN or infinite.
    """
    parts = (original.points, original.bias, original.weights, original.up, original.up_bias)
    rest = (original.offset, law.gain, law.bias)
    if not all(part.isfinite().all() for part in (*parts, *rest) if part is not None):
        raise UnsupportedModelError(
            f"{block.name} or what belongs to its block holds NaN or infinite entries; "
            "fetch the folder again"
        )


def _moments(
    original: FeedForward,
    law: Normalised,
    queries: FolderLaw,
    *,
    seen: Seen | None,
    generator: Generator,
) -> Moments:
    """The moments of the neurons: seen while the model ran, in closed form, or from queries."""
    if isinstance(queries, Sentences) and seen is not None:
        return seen.moments
    if not isinstance(queries, BehindNorms) or queries.per_neuron is None:
        closed = neuron_moments(original, law.moments())
        return closed if seen is None else mixed(seen.moments, closed, NORMS_SHARE)
    n, total = len(original.points), MomentSum()
    wanted, rows = queries.per_neuron * n, max(1, _ROWS // n)
    while total.count < wanted:
        x = law.sample(min(rows, wanted - total.count), generator=generator)
        total.add(neurons(original, x))
    return total.moments()


def _compared(
    original: FeedForward, cut: FeedForward, subset: WeightedSubset, *, x: Tensor, name: str
) -> float:
    """Check the cut block on queries; the largest change of an output on them.

    The original with the new outgoing weights, zero for the neurons that are gone, must give what
    the cut block gives.

    Raises:
        UnsupportedModelError: When it does not.
    """
    padded = torch.zeros_like(original.weights)
    padded[:, subset.indices] = subset.weights.double()
    h = neurons(original, x)
    wanted, found = h @ padded.T, outputs(cut, x)
    if cut.offset is not None:
        wanted = wanted + cut.offset
    size = 1 + float((h.abs() @ padded.abs().T).amax())
    if not float((wanted - found).abs().amax()) <= _TOLERANCE * size:
        raise UnsupportedModelError(
            f"{name} does not compute the same after its rows were moved, so its family's "
            "row of the table does not describe it; nothing was written"
        )
    whole = h @ original.weights.T
    if original.offset is not None:
        whole = whole + original.offset
    return float((whole - found).abs().amax())


def _words(block: Block, dtype: torch.dtype) -> str:
    norm, precision = NORMS[block.kind.norm_kind], str(dtype).removeprefix("torch.")
    return (
        f"all that the {norm} before the block can give in {precision}, so every input of the "
        "model; the two blocks themselves in exact arithmetic on the weights as stored"
    )
