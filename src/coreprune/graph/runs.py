"""Runs of groups that feed one another, as chains of plain layers."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.chain import Link
from coreprune.core.elementwise import identity
from coreprune.graph.groups import Consumer, Group, Linear
from coreprune.graph.ir import Node, Norm, Parameters, parameters_of
from coreprune.graph.layer import NORM_ROUNDINGS, layer_of, scale_and_shift, shift_size

CONSTANT_ROUNDINGS = 2
"""Of each term where a mean is subtracted from what a layer gives: there, and in float64 here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """What a layer reads is scale·h + shift, of shapes (n,).

    Attributes:
        scale: One number, or shape (n,).
        shift: None for nothing. Shape (n,).
        size: The magnitudes that the shift is the sum of. Shape (n,).
        roundings: Of each term, at most.
    """

    scale: Tensor | float = 1.0
    shift: Tensor | None = None
    size: Tensor | float = 0.0
    roundings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Groups, each the only reader of the one before, and one layer that reads the last.

    Attributes:
        groups: In order of execution.
        reader: The layer behind the last group.
        behind: Normalisations directly behind the reader that count as part of it.
    """

    groups: tuple[Group, ...]
    reader: Consumer
    behind: tuple[Norm, ...] = ()

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

    Where a normalisation behind the reader takes the constant of a cut in its mean and is no part
    of the run, what the reader gives is less that mean.

    Args:
        run: The run.
        parameters: The tensors as they stand.

    Returns:
        The groups' layers and the reader, in float64 on the CPU.
    """
    own = {name: held.detach().cpu() for name, held in tensors_of(run, parameters).items()}
    return tuple(_links(run, own))


def precision_of(run: Run, parameters: Parameters) -> torch.dtype:
    """The coarsest type of a run's tensors: what it runs in."""
    types = {held.dtype for held in tensors_of(run, parameters).values()}
    floating = [dtype for dtype in types if dtype.is_floating_point]
    return max(floating, key=lambda dtype: torch.finfo(dtype).eps)


def tensors_of(run: Run, parameters: Parameters) -> dict[str, Tensor]:
    """What a run's nodes hold, and the constant of its reader, by name."""
    nodes = [*itertools.chain.from_iterable(map(_nodes, run.groups)), *run.behind]
    names = [name for node in nodes for name in parameters_of(node)]
    constant = run.reader.constant
    return {name: parameters[name] for name in [*names, *([] if constant is None else [constant])]}


def same_tensors(one: Parameters, other: Parameters) -> bool:
    """Whether two networks hold the same tensors under the same names."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and torch.equal(one[name], other[name].to(one[name].device))
        for name in one
    )


def _nodes(group: Group) -> Iterator[Node]:
    yield group.producer
    for consumer in group.consumers:
        yield from (*consumer.passengers, consumer.affine)


def _links(run: Run, parameters: Parameters) -> Iterator[Link]:
    before = Fold()
    readers = [group.consumers[0] for group in run.groups[:-1]] + [run.reader]
    for group, reader in zip(run.groups, readers, strict=True):
        ending = ending_of(reader)
        rest = replace(reader, passengers=reader.passengers[: len(reader.passengers) - len(ending)])
        layer = layer_of(group, rest, parameters)
        link = Link(
            points=layer.points,
            bias=layer.bias,
            activation=layer.activation,
            bias_size=layer.bias_size,
            roundings=layer.roundings,
            inside=(_plain(group.producer, parameters),) if layer.roundings else (),
        )
        yield _behind(link, before)
        before = folded(ending, parameters)
    yield _behind(_last(run, parameters), before)


def _last(run: Run, parameters: Parameters) -> Link:
    """The reader with what is behind it."""
    link, constant = _plain(run.reader.affine, parameters), run.reader.constant
    bias = link.bias.double()
    if run.behind:
        fold = folded(run.behind, parameters)
        scale = torch.as_tensor(fold.scale, dtype=torch.float64)
        return replace(
            link,
            points=scale[:, None] * link.points,
            bias=bias * scale + (0.0 if fold.shift is None else fold.shift),
            bias_size=bias.abs() * scale.abs() + fold.size,
            roundings=fold.roundings,
            inside=(link,),
        )
    if constant is None or constant == run.reader.affine.bias:
        return link
    moved = run.reader.sign * parameters[constant].double()
    return replace(
        link,
        bias=bias + moved,
        bias_size=bias.abs() + moved.abs(),
        roundings=CONSTANT_ROUNDINGS,
        inside=(link,),
    )


def _plain(affine: Linear, parameters: Parameters) -> Link:
    """A layer by itself."""
    weights = parameters[affine.weight]
    own = weights.new_zeros(len(weights)) if affine.bias is None else parameters[affine.bias]
    return Link(points=weights, bias=own, activation=identity())


def ending_of(reader: Consumer) -> tuple[Norm, ...]:
    """Normalisations between what is before them and the layer that reads them, if any is."""
    ending: list[Norm] = []
    for passenger in reversed(reader.passengers):
        if not isinstance(passenger, Norm):
            return tuple(reversed(ending))
        ending.append(passenger)
    return ()  # none but normalisations: they belong to the layer before


def folded(norms: Sequence[Norm], parameters: Parameters) -> Fold:
    """Normalisations one after the other."""
    found = Fold()
    for norm in norms:
        scale, shift = scale_and_shift(norm, parameters)
        found = Fold(
            scale=scale * found.scale,
            shift=shift if found.shift is None else scale * found.shift + shift,
            size=scale.abs() * found.size + shift_size(norm, parameters),
            roundings=found.roundings + NORM_ROUNDINGS,
        )
    return found


def _behind(link: Link, before: Fold) -> Link:
    """A layer that reads scale·h + shift, as one that reads h."""
    wide, moved = link.points.double(), link.bias.double()
    size = moved.abs() if link.bias_size is None else link.bias_size.double()
    inside = tuple(_behind(one, before) for one in link.inside)
    if before.shift is not None:
        moved = moved + wide @ before.shift
        size = size + wide.abs() @ before.size
        inside = (*inside, _read(before, before.shift))
    return replace(
        link,
        points=wide * before.scale,
        bias=moved,
        bias_size=size,
        roundings=link.roundings + before.roundings,
        inside=inside,
    )


def _read(fold: Fold, shift: Tensor) -> Link:
    """The scale·h + shift that a layer reads, as a layer."""
    scale = torch.as_tensor(fold.scale, dtype=torch.float64).expand_as(shift)
    size = torch.as_tensor(fold.size, dtype=torch.float64).expand_as(shift)
    return Link(points=torch.diag(scale), bias=shift, activation=identity(), bias_size=size)
