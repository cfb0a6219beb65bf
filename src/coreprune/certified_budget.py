"""The smallest network that bisection finds whose certificate stays below a target."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from coreprune.budget import Budget, smaller_networks
from coreprune.certificates.network import NetworkChain
from coreprune.cutting import Outcome, Plan, changed_by, cut_soundly
from coreprune.errors import ArgumentError
from coreprune.progress import Progress, silent
from coreprune.proof import Proof, proof_of
from coreprune.prospect import Prospect


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CertifiedCut:
    """A network that was cut, and what is proven of it.

    Attributes:
        outcome: The cuts.
        proof: Of the whole network.
    """

    outcome: Outcome
    proof: Proof


def cut_within(
    budget: Budget,
    prospect: Prospect,
    *,
    plan: Plan,
    chain: NetworkChain | str,
    round_to: int,
    tell: Progress,
) -> CertifiedCut:
    """Cut as much as a certificate allows.

    The networks to choose from are those of the descent to the least widths, parameters being the
    cost. Each trial cuts one of them as it would be given back and bounds it; bisection makes about
    log₂ of their number. Certificates need not grow along the descent, nor are its networks all
    that there are: what comes back holds, but a smaller network might too.

    Args:
        budget: ε, the certificate to stay below.
        prospect: The model, its prices and costs.
        plan: Everything but the widths.
        chain: The original, or why it is no chain.
        round_to: Widths below a group's own are multiples of this.
        tell: Called as (what, done, of) for each trial.

    Returns:
        A cut whose certificate is at most ε.

    Raises:
        ArgumentError: When networks of this kind have no certificate, or none found is that small.
    """
    if isinstance(chain, str):
        _refuse(budget, f"no bound of the whole network, because {chain}")
    networks = smaller_networks(
        budget, prospect.costs["parameters"], prospect.prices.prices, round_to=round_to
    )
    least, best = math.inf, None
    of, trials = math.ceil(math.log2(len(networks) + 1)), 0

    def holds(position: int) -> bool:
        nonlocal least, best, trials
        tell("cutting and certifying a size", trials, of)
        trials += 1
        widths = networks[position - 1].widths
        found = _trial(prospect, plan, widths, chain=chain)
        if found.proof.certificate is None:
            _refuse(budget, found.proof.scope)
        least = min(least, found.proof.certificate)
        if not found.proof.certificate <= budget.target:
            return False
        best = found  # bisection only goes on to smaller networks from here
        return True

    last_that_holds(len(networks), holds)
    if best is None:
        raise ArgumentError(
            f"{budget} cannot be reached: the smallest certificate of {trials} networks tried is "
            f"{least:.4g}; ask for that or more, or pass lossless=True"
        )
    return best


def last_that_holds(count: int, holds: Callable[[int], bool]) -> int:
    """Bisect for the last position of which something holds.

    Args:
        count: Positions are 1 … count.
        holds: Asked of at most ⌈log₂(count + 1)⌉ of them.

    Returns:
        The last position that was asked and holds, right before one that does not or at the end;
        0 where the first was asked and does not. Where it holds up to a position and not behind,
        that position.

    Example:
        >>> last_that_holds(100, lambda position: position**2 <= 50)
        7
    """
    low, high = 0, count + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _trial(
    prospect: Prospect, plan: Plan, widths: Mapping[str, int], *, chain: NetworkChain
) -> CertifiedCut:
    outcome = cut_soundly(prospect.subject, replace(plan, widths=widths), silent)
    small = {**prospect.subject.original, **changed_by(outcome, prospect.subject)}
    first = prospect.partition.groups[0].name
    proof = proof_of(small, chain, records=outcome.records.values(), radius=plan.space.radii[first])
    return CertifiedCut(outcome=outcome, proof=proof)


def _refuse(budget: Budget, why: str) -> NoReturn:
    """Refuse a network without a certificate.

    Raises:
        ArgumentError: With the reason and the way out.
    """
    raise ArgumentError(
        f"{budget} cannot be reached: {why.removeprefix('group: ')}; "
        "pass Budget(error=...) for an expected error, or a size as Budget(parameters=0.5)"
    )
