"""Whether an attack beats a certificate, and whether that says anything."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.chain import Link
from coreprune.records import CertifiedGroup

WITHIN = 1e-9
"""Of the largest value inside the networks: what evaluating an attack in float64 may be off by."""


def holds(group: CertifiedGroup, size: float) -> bool:
    """Whether no attack beats a group's certificate, values inside being of this size."""
    if group.certificate is None or group.attack is None:
        return True
    attack, bound = torch.tensor([group.attack, group.certificate], dtype=torch.float64)
    return bool(not_beaten(attack, bound, size=size))


def not_beaten(attack: Tensor, bound: Tensor, *, size: float) -> Tensor:
    """Where no attack beats a certificate; what is NaN on either side never counts as that.

    Args:
        attack: Changes found. Shape (k,).
        bound: Certificates; an infinite one says nothing, so nothing beats it. Shape (k,).
        size: Of values inside the networks, for the rounding of the attack.

    Returns:
        Flags. Shape (k,).
    """
    room = WITHIN * size if math.isfinite(size) else 0.0
    known = attack.isfinite() | (bound == math.inf)
    return known & ~attack.isnan() & (attack <= bound + room)


def says_nothing(bound: Tensor, attack: Tensor, span: Tensor) -> Tensor:
    """Where a certificate exceeds a range of this width, and the change found does not.

    Two networks may be further apart than either moves: then a bound beyond the range tells.

    Args:
        bound: Shape (k,).
        attack: Shape (k,).
        span: Shape (k,).

    Returns:
        Flags. Shape (k,).
    """
    return ~(bound <= span) & ~(attack > span)


def vacuous_words(what: str, flags: Tensor, *, unproven: int) -> str:
    """Where nothing is proven and where certificates exceed ranges; empty where neither is."""
    words = []
    if unproven:
        words.append(f"{unproven} of {len(flags)} {what}: nothing is proven")
    if count := int(flags.sum()):
        words.append(
            f"{count} of {len(flags)} {what}: the certificate exceeds the whole range of the "
            "original there, so it says nothing"
        )
    return "; ".join(words)


def by_range(*chains: Sequence[Link]) -> tuple[str, ...]:
    """The names of hidden layers' activations without an envelope, each once."""
    hidden = [link.activation for links in chains for link in links[:-1]]
    return tuple(dict.fromkeys(one.name for one in hidden if one.envelope is None))
