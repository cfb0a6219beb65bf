"""Whether an attack beats a certificate, and whether that says anything."""

from collections.abc import Sequence

from torch import Tensor

from coreprune.core.chain import Link
from coreprune.records import CertifiedGroup

WITHIN = 1e-9
"""Of the largest value inside the networks: what evaluating an attack in float64 may be off by."""


def holds(group: CertifiedGroup, size: float) -> bool:
    """Whether no attack beats a group's certificate, values inside being of this size."""
    if group.certificate is None or group.attack is None:
        return True
    return group.attack <= group.certificate + WITHIN * size


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
    return (bound > span) & (attack <= span)


def vacuous_words(what: str, flags: Tensor) -> str:
    """Where certificates exceed ranges; an empty text where none does."""
    count = int(flags.sum())
    if not count:
        return ""
    return (
        f"{count} of {len(flags)} {what}: the certificate exceeds the whole range of the "
        "original there, so it says nothing"
    )


def by_range(*chains: Sequence[Link]) -> tuple[str, ...]:
    """The names of hidden layers' activations without an envelope, each once."""
    hidden = [link.activation for links in chains for link in links[:-1]]
    return tuple(dict.fromkeys(one.name for one in hidden if one.envelope is None))
