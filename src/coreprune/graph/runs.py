"""Runs of groups that feed one another, as chains of plain layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from coreprune.core.chain import Link
from coreprune.core.elementwise import identity
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Node, Norm, Parameters, parameters_of
from coreprune.graph.layer import layer_of, scale_and_shift

Fold = tuple[Tensor | float, Tensor | None]
"""scale·h + shift, of shapes (n,), is what a layer reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Groups, each the only reader of the one before, and one layer that reads the last.

    Attributes:
        groups: In order of execution.
        reader: The layer behind the last group.
    """

    groups: tuple[Group, ...]
    reader: Consumer

    @property
    def name(self) -> str:
        """From the first layer to the last."""
        return f"{self.groups[0].name} → {self.reader.affine.name}"


def runs_of(groups: Sequence[Group]) -> tuple[Run, ...]:
    """The longest runs, one for each layer that ends one.

    Args:
        groups: Of a network, in order of execution.

    Returns:
        The runs, in which every group of plain neurons is at least once, but for those that are
        read beside others.
    """
    groups = [group for group in groups if group.is_plain and group.is_alone]
    by_weight = {group.producer.weight: group for group in groups}
    after = {
        group.name: by_weight.get(group.consumers[0].affine.weight)
        for group in groups
        if len(group.consumers) == 1
    }
    inside = {group.name for group in after.values() if group is not None}
    found = []
    for first in groups:
        if first.name in inside:
            continue
        chain = [first]
        while (following := after.get(chain[-1].name)) is not None:
            chain.append(following)
        found += [Run(groups=tuple(chain), reader=reader) for reader in chain[-1].consumers]
    return tuple(found)


def links_of(run: Run, parameters: Parameters) -> tuple[Link, ...]:
    """The layers of a run, normalisations next to a layer folded into it.

    Args:
        run: The run.
        parameters: The tensors as they stand.

    Returns:
        The groups' layers and the reader, in float64 on the CPU.
    """
    nodes = [node for group in run.groups for node in _nodes(group)]
    names = {name for node in nodes for name in parameters_of(node)}
    return tuple(_links(run, {name: parameters[name].detach().cpu() for name in names}))


def _nodes(group: Group) -> Iterator[Node]:
    yield group.producer
    for consumer in group.consumers:
        yield from (*consumer.passengers, consumer.affine)


def _links(run: Run, parameters: Parameters) -> Iterator[Link]:
    before: Fold = (1.0, None)
    readers = [group.consumers[0] for group in run.groups[:-1]] + [run.reader]
    for group, reader in zip(run.groups, readers, strict=True):
        ending = _ending(reader)
        rest = replace(reader, passengers=reader.passengers[: len(reader.passengers) - len(ending)])
        layer = layer_of(group, rest, parameters)
        points, bias = _behind(layer.points, layer.bias, before)
        yield Link(points=points, bias=bias, activation=layer.activation)
        before = _folded(ending, parameters)
    affine = run.reader.affine
    weights = parameters[affine.weight]
    own = weights.new_zeros(len(weights)) if affine.bias is None else parameters[affine.bias]
    points, bias = _behind(weights, own, before)
    yield Link(points=points, bias=bias, activation=identity())


def _ending(reader: Consumer) -> tuple[Norm, ...]:
    """Normalisations between an activation and the layer that reads it."""
    ending: list[Norm] = []
    for passenger in reversed(reader.passengers):
        if not isinstance(passenger, Norm):
            return tuple(reversed(ending))
        ending.append(passenger)
    return ()  # none but normalisations: they belong to the layer before


def _folded(norms: Sequence[Norm], parameters: Parameters) -> Fold:
    scale: Tensor | float = 1.0
    shift: Tensor | None = None
    for norm in norms:
        own, more = scale_and_shift(norm, parameters)
        scale, shift = own * scale, more if shift is None else own * shift + more
    return scale, shift


def _behind(points: Tensor, bias: Tensor, before: Fold) -> tuple[Tensor, Tensor]:
    """A layer that reads scale·h + shift, as one that reads h. Shapes (n, d) and (n,)."""
    scale, shift = before
    wide = points.double()
    moved = bias.double()
    if shift is not None:
        moved = moved + wide @ shift
    return wide * scale, moved
