"""A saved network against its original: certified anew, and what was stored put to the test."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from coreprune.certificates.arguments import networks_of
from coreprune.certificates.judged import WITHIN
from coreprune.certificates.stored import proven_along
from coreprune.certify import certified, question
from coreprune.errors import ArgumentError, FileFormatError
from coreprune.opening import Model, Saved, saved_at
from coreprune.queries.ball import Ball
from coreprune.queries.bounded import Space
from coreprune.records import Certified
from coreprune.shells.network import Network
from coreprune.shells.torch_module.files import tensors_hash

AGAIN = 1e-3
"""Of a stored certificate: by how much what is proven again may exceed it, since sums are not
formed in the same order on every machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClaim:
    """A certificate out of the saved record, attacked.

    Attributes:
        name: "network", or the group.
        certificate: As stored.
        radius: Of the ball that it speaks of.
        attack: The largest change found there; None where the two networks do not tell what it was
            about: a group behind another one that was cut, or one that was repaired.
        proven: The least bound proven of it now; None where there is none, and for groups.
        holds: For the network whether it was proven again and no attack beats it; for a group
            whether no attack beats it, and None where the two networks do not tell.
    """

    name: str
    certificate: float
    radius: float
    attack: float | None
    proven: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verification:
    """What is proven of a saved network, and of what its record claims.

    Attributes:
        certified: Proven and attacked anew.
        stored: The record's certificates.
        holds: Whether no attack beats any certificate, and the network's stored one is proven
            again.
    """

    certified: Certified
    stored: tuple[StoredClaim, ...]
    holds: bool

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {
            **self.certified.to_json(),
            "holds": self.holds,
            "stored": [asdict(claim) for claim in self.stored],
        }


def verify_saved(  # noqa: PLR0913 (what the command line asks)
    original: Model,
    path: Path,
    *,
    into: nn.Module | None = None,
    space: Space | None = None,
    example_inputs: Any = None,  # noqa: ANN401
    samples: Tensor | None = None,
    radius: float | None = None,
    effort: float | None = None,
    seed: int = 0,
) -> Verification:
    """Certify a saved network, prove its stored certificate again, and attack all that are stored.

    Args:
        original: The network that was pruned.
        path: What `PruneResult.save` wrote.
        into: Of a module another instance of its class; it becomes the pruned network.
        space: The queries; None takes those of the samples, else of the stored certificate.
        example_inputs: As for `certify`.
        samples: As for `certify`.
        radius: As for `certify`.
        effort: As for `certify`.
        seed: Fixes the attacks.

    Returns:
        What holds.

    Raises:
        ArgumentError: When no queries are said or stored, when the record is of another original,
            or as `certify`.
        FileFormatError: When the saved files are damaged.
    """
    saved = saved_at(path, into=into)
    document, claims = saved.record, list(_claims(saved))
    if space is None and samples is None:
        space = _stored_space(document, claims)
    asked = question(space, samples=samples, radius=radius, effort=effort, seed=seed)
    networks = networks_of((original, saved.model), example_inputs)
    _check_original(networks[0], document, of_module=into is not None)
    found = certified(networks, asked)
    by_radius: dict[float, Certified] = {}
    if isinstance(space, Ball):
        by_radius[float(space.radius)] = found
    stored = []
    for claim in claims:
        size = claim[2]
        if size not in by_radius:
            by_radius[size] = certified(networks, question(Ball(size), effort=0.0, seed=seed))
        along = None
        if claim[0] == "network":
            along = proven_along(networks, kept=_kept(document), radius=size)
        stored.append(_judged(claim, by_radius[size], document=document, along=along))
    return Verification(
        certified=found,
        stored=tuple(stored),
        holds=found.holds and all(one.holds is not False for one in stored),
    )


def _check_original(original: Network, document: Mapping[str, Any], *, of_module: bool) -> None:
    """Refuse another original before anything is proven of it.

    Raises:
        ArgumentError: When its tensors are not those that were pruned.
    """
    if tensors_hash(original.original) == document.get("original_hash"):
        return
    hint = " (did you forget --weights?)" if of_module else ""
    raise ArgumentError(
        "the original's tensors are not those that were pruned; give the original and the "
        f"weights that were{hint}"
    )


def _kept(document: Mapping[str, Any]) -> dict[str, object]:
    """What the record says of the neurons kept, by groups."""
    return {str(group.get("name")): group.get("kept") for group in document["groups"]}


def _judged(
    claim: tuple[str, float, float],
    found: Certified,
    *,
    document: Mapping[str, Any],
    along: float | None,
) -> StoredClaim:
    """A stored certificate beside what is proven and attacked now on its ball."""
    name, bound, radius = claim
    attack = _attack_on(name, found, document, repaired=document.get("repair") is not None)
    proven, holds = None, None if attack is None else not is_beaten(attack, bound)
    if name == "network":
        bounds = [] if along is None else [along]
        if found.scope == "network":
            bounds.append(float(found.certificate.amax()))
        proven = min(filter(math.isfinite, bounds), default=None)
        holds = holds is not False and proven is not None and proven <= bound * (1 + AGAIN)
    return StoredClaim(
        name=name, certificate=bound, radius=radius, attack=attack, proven=proven, holds=holds
    )


def is_beaten(attack: float, certificate: float) -> bool:
    """Whether an attack exceeds a stored certificate by more than rounding."""
    return not attack <= certificate * (1 + WITHIN) + WITHIN  # a NaN holds nothing


def _stored_space(document: Mapping[str, Any], claims: list[tuple[str, float, float]]) -> Space:
    """The ball that the record speaks of.

    Raises:
        ArgumentError: When it speaks of none for the whole network.
    """
    if claims and claims[0][0] == "network":
        return Ball(claims[0][2])
    raise ArgumentError(
        "the queries must be given, because no certificate of the whole network is stored "
        f"({document.get('certificate_scope', 'saved by an older version')}); "
        "pass coreprune.Ball(radius), or coreprune.Box(low, high)"
    )


def _claims(saved: Saved) -> Iterator[tuple[str, float, float]]:
    """Name, certificate and radius of everything that the record claims.

    Raises:
        FileFormatError: When a number is none.
    """
    document, groups = saved.record, saved.record.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise FileFormatError(f"{saved.place} does not list the groups; save again")
    entries: list[tuple[str, Any, Any]] = [
        ("network", document.get("certificate"), document.get("certificate_radius"))
    ]
    entries += [
        (
            str(group.get("name")),
            group.get("certificate"),
            group.get("certificate_radius", group.get("query_radius")),  # older records: the latter
        )
        for group in groups
    ]
    for name, bound, radius in entries:
        if bound is None:
            continue
        if not (_is_number(bound) and _is_number(radius) and bound >= 0 and radius > 0):
            raise FileFormatError(
                f"{saved.place} has the certificate {bound!r} for the radius {radius!r} "
                f"({name}), which are no sizes; save the result again"
            )
        yield name, float(bound), float(radius)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _attack_on(
    name: str, found: Certified, document: Mapping[str, Any], *, repaired: bool
) -> float | None:
    """The attack that speaks of what a stored certificate speaks of."""
    if name == "network":
        return float(found.attack.amax()) if found.scope == "network" else None
    if repaired:
        return None
    if found.scope == "network":  # of several groups the errors add up
        return found.groups[0].attack if len(found.groups) == 1 else None
    attacks = [run.attack for run in found.groups if run.name.startswith(f"{name} → ")]
    known = [attack for attack in attacks if attack is not None]
    if not known or len(known) < len(attacks) or _is_inside(name, document):
        return None
    return math.nan if any(map(math.isnan, known)) else max(known)


def _is_inside(name: str, document: Mapping[str, Any]) -> bool:
    """Whether the readers of a group were cut themselves, so that its run goes on."""
    groups = {group.get("name"): group for group in document["groups"]}
    return any(reader in groups for reader in groups[name].get("consumers", []))
