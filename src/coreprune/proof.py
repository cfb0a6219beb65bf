"""What is proven of a whole network after its cuts, as the record says it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coreprune.certificates.fast import network_certificate, range_exceeded
from coreprune.certificates.network import NetworkChain, network_chain
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters
from coreprune.graph.partition import find_groups
from coreprune.records import GroupRecord
from coreprune.shells.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A fast bound of a whole network, or why there is none.

    Attributes:
        certificate: No output is further from the original's; None where nothing is proven.
        radius: For inputs of at most this norm; None likewise.
        scope: "network", or the reason in words.
    """

    certificate: float | None
    radius: float | None
    scope: str


def chain_of(subject: Network, groups: Sequence[Group]) -> NetworkChain | str:
    """A whole network as a chain of layers, with those that the user leaves whole.

    Args:
        subject: The network.
        groups: Those that may be cut, in order of execution.

    Returns:
        The chain, whose first layer is the first group's, or why there is none, in words.
    """
    everything = find_groups(subject.graph).groups
    if everything[0].name != groups[0].name:
        return f"no radius was planned for its first layer, {everything[0].name}, which is skipped"
    return network_chain(subject, everything)


def notes_on(proof: Proof, chain: NetworkChain | str) -> list[str]:
    """What a reader of the certificate should know.

    Args:
        proof: Of a pruned network.
        chain: The original, or why it is no chain.

    Returns:
        That it says nothing of outputs whose whole range is smaller, where there are such.
    """
    if proof.certificate is None or proof.radius is None or isinstance(chain, str):
        return []
    note = range_exceeded(chain, proof.certificate, radius=proof.radius)
    return [note] if note else []


def proof_of(
    small: Parameters,
    chain: NetworkChain | str,
    *,
    records: Iterable[GroupRecord],
    radius: float | None,
) -> Proof:
    """Bound how far a pruned network, as it is given back, is from the original.

    Args:
        small: The tensors of the pruned network, repaired or not.
        chain: The original, or why it is no chain.
        records: Of the groups that were cut.
        radius: Inputs of at most this norm count; None when none was planned for.

    Returns:
        The proof.
    """
    if radius is None and not isinstance(chain, str):
        chain = "no radius was planned for its inputs"
    certificate, scope = network_certificate(
        chain,
        small,
        kept={record.name: record.kept for record in records},
        radius=radius or 0.0,
    )
    known = certificate is not None
    return Proof(certificate=certificate, radius=radius if known else None, scope=scope)
