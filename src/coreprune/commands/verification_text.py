"""What `coreprune verify` prints."""

import math
from collections.abc import Iterator

from coreprune.certificates.precision import unbounded
from coreprune.commands.terminal import print_table, say
from coreprune.records import Certified
from coreprune.verification import StoredClaim, Verification, is_beaten

ROWS = 25
"""Outputs that are printed, the worst first."""

TELLING = 1e6
"""Larger ratios are left out: the attack is rounding."""


def print_verification(found: Verification) -> None:
    """Tables of what is proven, found and stored, and sentences on what they mean."""
    certified = found.certified
    heads = ("attack", "certificate", "ratio")
    if certified.scope == "network":
        bounds, attacks = certified.certificate.tolist(), certified.attack.tolist()
        order = sorted(range(len(bounds)), key=lambda i: -bounds[i])[:ROWS]
        rows = [(str(i), *_numbers(attacks[i], bounds[i])) for i in order]
        print_table(("output", *heads), rows)
    if not _is_silent(certified):
        print_table(
            ("group", *heads, "what is not known and why"),
            [
                (group.name, *_numbers(group.attack, group.certificate), group.reason)
                for group in certified.groups
            ],
        )
    if found.stored:
        print_table(
            ("stored", "radius", *heads, "holds"),
            [
                (
                    claim.name,
                    f"{claim.radius:.4g}",
                    *_numbers(claim.attack, claim.certificate),
                    _verdict(claim),
                )
                for claim in found.stored
            ],
        )
    for sentence in _sentences(found):
        say(sentence)


def failure_of(found: Verification) -> str:
    """Why a verification failed, in one line."""
    for claim in found.stored:
        if claim.holds is False:
            words = (
                f"the stored certificate of {claim.name}, {claim.certificate:.4g} on the ball of "
                f"radius {claim.radius:.4g}, "
            )
            if _is_beaten(claim):
                return f"{words}does not hold: a query reaches {claim.attack:.4g}"
            return (
                f"{words}is not proven again: proven is {_proven(claim)}; give the original and "
                "the weights that were pruned, or save the result again"
            )
    return "an attack beats a certificate just proven; please report this as a fault of coreprune"


def _verdict(claim: StoredClaim) -> str:
    if claim.holds is None:
        return "not told by the two networks alone"
    if claim.holds:
        return "not beaten" if claim.proven is None else "yes, proven again"
    return "NO" if _is_beaten(claim) else f"not proven again (proven: {_proven(claim)})"


def _is_beaten(claim: StoredClaim) -> bool:
    return claim.attack is not None and is_beaten(claim.attack, claim.certificate)


def _proven(claim: StoredClaim) -> str:
    return "nothing" if claim.proven is None else f"{claim.proven:.4g}"


def _numbers(attack: float | None, bound: float | None) -> tuple[str, str, str]:
    """The attack, the certificate and how many times larger that is."""
    if bound is None or attack is None:
        return _number(attack), _number(bound), ""
    telling = attack > 0 and bound / attack <= TELLING
    return _number(attack), _number(bound), f"{bound / attack:.2f}" if telling else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value + 0.0:.4g}"  # adding 0 takes the sign off −0


def _sentences(found: Verification) -> Iterator[str]:
    certified = found.certified
    yield f"for {certified.space}, in the units of the outputs; scope: {certified.scope}"
    yield _rounding(certified)
    if certified.by_range:
        yield (
            f"only ranges are known of {', '.join(certified.by_range)}: bounds are the triangle's, "
            "and loose"
        )
    if len(found.stored) > sum(claim.name == "network" for claim in found.stored):
        yield (
            "stored certificates of groups speak of one cut alone, before repair, and on the ball "
            "of that layer's inputs"
        )
    if any(claim.name == "network" for claim in found.stored):
        yield (
            "the network's stored certificate is the quick bound that every result carries; what "
            "is proven above is refined output by output where that takes seconds, and may be less"
        )
    if certified.vacuous:
        yield certified.vacuous
    if certified.unchanged is not None:
        yield (
            f"{certified.unchanged:.1%} of the samples provably keep their class in both networks"
        )


def _is_silent(certified: Certified) -> bool:
    """Whether nothing was proven and nothing was attacked."""
    return certified.scope != "network" and all(
        group.certificate is None and group.attack is None for group in certified.groups
    )


def _rounding(certified: Certified) -> str:
    worst = float(certified.rounding.amax())
    if _is_silent(certified):
        reasons = "; ".join(
            f"{group.name}: {group.reason.removeprefix('not attacked: ')}"
            for group in certified.groups
        )
        return (
            "nothing is proven anew of these two networks and nothing was attacked, which says "
            f"neither that they agree nor that they do not ({reasons})"
        )
    if certified.scope != "network" and all(g.certificate is None for g in certified.groups):
        return "nothing is proven anew of these two networks"
    if not math.isfinite(worst):
        return f"nothing is proven where {unbounded(certified.precision)}"
    return (
        f"certificates include up to {worst:.3g} for rounding when both networks run in "
        f"{certified.precision}"
    )
