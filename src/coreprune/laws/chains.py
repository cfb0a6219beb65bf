"""Chains of layers from the network's flat input: where a Gaussian law has a closed form."""

from collections.abc import Collection, Sequence

from coreprune.graph.groups import Group
from coreprune.graph.inputs import input_values
from coreprune.graph.ir import Graph, Norm


def chained(graph: Graph, groups: Sequence[Group]) -> frozenset[str]:
    """The groups whose layer reads the network's input as it is, or another such group.

    A group whose readers read others besides is left out: sampled, it makes up for their losses.

    Args:
        graph: The lowered model.
        groups: Its groups, in order of execution.

    Returns:
        Their names.
    """
    roots = input_values(graph)
    found: set[str] = set()
    read: set[str] = set()  # the weights of layers that read a group of the chain
    for group in groups:
        follows = group.producer.input in roots or group.producer.weight in read
        if group.is_plain and group.is_alone and follows:
            found.add(group.name)
            read |= {consumer.affine.weight for consumer in group.consumers}
    return frozenset(found)


def remembers(groups: Sequence[Group], names: Collection[str]) -> bool:
    """Whether one of these groups has a batch normalisation right behind its layer."""
    return any(
        isinstance(passenger, Norm)
        for group in groups
        if group.name in names
        for consumer in group.consumers
        for passenger in consumer.passengers[:1]
    )
