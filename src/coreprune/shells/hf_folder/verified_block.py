"""One block of a pruned folder: its stored certificate, proven again and attacked."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.core.feed_forward import FeedForward
from coreprune.core.feed_forward_certificate import (
    BlockCertificate,
    block_certificate,
    trained_certificate,
)
from coreprune.core.query_set import QuerySet
from coreprune.shells.hf_folder.attacking import block_attack
from coreprune.shells.hf_folder.blocks import Block
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.stored import Tensors, feed_forward, law_of

AGAIN = 1e-3
"""By how much what is proven again may exceed what is stored, as sums are not formed in the same
order on every machine."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBlock:
    """The stored certificate of one block, proven again and attacked.

    Attributes:
        name: The block.
        certificate: As stored: no output changes by more.
        proven: The same, proven of the tensors as they are now.
        attack: The largest change of an output that was found.
        holds: Whether it was proven again and nothing found beats it.
        reason: Why it does not hold, or an empty text.
    """

    name: str
    certificate: float
    proven: float
    attack: float
    holds: bool
    reason: str = ""


def verified_block(
    block: Block, big: Tensors, small: Tensors, *, record: BlockRecord, seed: int
) -> VerifiedBlock:
    """Certify one cut block anew and attack it.

    Args:
        block: The block of the original.
        big: Its tensors as stored there.
        small: Those of the same names in the pruned folder.
        record: What was stored of it.
        seed: Of the attack.

    Returns:
        What holds.
    """
    original, cut = feed_forward(block, big), feed_forward(block, small)
    law = law_of(block, big)
    space = law.space(big[block.gate].dtype)
    proven = float(_certificate(original, cut, record, space=space).bound.amax())
    generator = Generator().manual_seed(seed)
    found = block_attack(original, cut, law=law, space=space, generator=generator)
    reason = _failure(record, proven=proven, attack=found)
    if any(not same_bits(big[name], small[name]) for name in _norms(block)):
        reason = f"the norm before it, {block.norm}, is not the original's"
    return VerifiedBlock(
        name=block.name,
        certificate=record.certificate,
        proven=proven,
        attack=found,
        holds=not reason,
        reason=reason,
    )


def _norms(block: Block) -> list[str]:
    return [name for name in (block.norm, block.norm_bias) if name is not None]


def _failure(record: BlockRecord, *, proven: float, attack: float) -> str:
    """Why a stored certificate does not hold, or an empty text."""
    stored = record.certificate
    if not attack <= stored * (1 + _ROUNDING) + _ROUNDING:  # a NaN holds nothing
        return f"the stored certificate {stored:.4g} does not hold: a query reaches {attack:.4g}"
    if not proven <= stored * (1 + AGAIN):
        return f"the stored certificate {stored:.4g} is not proven again: proven is {proven:.4g}"
    return ""


def _certificate(
    original: FeedForward, cut: FeedForward, record: BlockRecord, *, space: QuerySet
) -> BlockCertificate:
    """What can be proven of the two blocks."""
    kept = torch.tensor(record.kept, dtype=torch.long)
    if _has_rows(cut, original, kept):
        return block_certificate(original, indices=kept, cut=cut, space=space)
    return trained_certificate(original, indices=kept, trained=cut, space=space)


def _has_rows(cut: FeedForward, original: FeedForward, kept: Tensor) -> bool:
    """Whether a block's neurons are those of the original that the record names."""
    pairs = (
        (cut.points, original.points),
        (cut.bias, original.bias),
        (cut.up, original.up),
        (cut.up_bias, original.up_bias),
    )
    return all(
        torch.equal(small, big[kept])
        for small, big in pairs
        if small is not None and big is not None
    )


def same_bits(old: Tensor, new: Tensor) -> bool:
    """Whether two tensors are stored alike."""
    if old.dtype != new.dtype or old.shape != new.shape:
        return False
    flat = (tensor.flatten().view(torch.uint8) for tensor in (old, new))
    return torch.equal(*flat) if old.numel() else True
