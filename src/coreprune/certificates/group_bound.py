"""What is proven of one group, or of a run of groups, of two networks."""

from dataclasses import dataclass

import torch

from coreprune.records import CertifiedGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBound:
    """What is proven, whether that says nothing, and the part that pays for rounding.

    Attributes:
        record: The certificate and the attack.
        vacuous: Whether it exceeds the range of what it bounds.
        rounding: What of it pays for evaluating both networks.
        types: What these run in; nothing where that plays no part.
    """

    record: CertifiedGroup
    vacuous: bool = False
    rounding: float = 0.0
    types: tuple[torch.dtype, ...] = ()


def unproven(name: str, reason: str, *, rounding: float = 0.0) -> GroupBound:
    """Nothing, and why.

    Args:
        name: The group.
        reason: In words.
        rounding: Infinite where that is why.

    Returns:
        The record of that.
    """
    text = f"not attacked: {reason}"
    record = CertifiedGroup(name=name, certificate=None, attack=None, reason=text)
    return GroupBound(record=record, rounding=rounding)


OTHER_SIZES = "layers around it have other sizes in the pruned network"
NO_SUCH_GROUP = "the pruned network has no such group"
