"""What a network of given widths costs: parameters, bytes, operations and neurons.

A tensor that has rows of one group and columns of another costs the product of their widths, so
every cost is a constant and a sum of terms, each with at most two widths in it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coreprune.graph.cut import Axis, axes_of
from coreprune.graph.groups import Group
from coreprune.graph.ir import Affine, Convolution, Graph, Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """factor · Π widths of the groups."""

    factor: float
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """fixed + Σ terms, in one unit.

    Attributes:
        fixed: What no width changes.
        terms: What they do.
    """

    fixed: float
    terms: tuple[Term, ...]

    def of(self, widths: Mapping[str, int]) -> float:
        """What a network of these widths costs."""
        return self.fixed + sum(_value(term, widths) for term in self.terms)

    def by_group(self) -> dict[str, tuple[Term, ...]]:
        """The terms that each group's width enters."""
        names = dict.fromkeys(name for term in self.terms for name in term.groups)
        return {name: tuple(term for term in self.terms if name in term.groups) for name in names}


def saving(terms: Iterable[Term], group: str, widths: Mapping[str, int], *, steps: int) -> float:
    """How much less the network costs when a group loses neurons and all others stay.

    Args:
        terms: Those that the group's width enters.
        group: The group that loses some.
        widths: The widths before.
        steps: How many neurons it loses.

    Returns:
        The difference, in the cost's unit.
    """
    after = {**widths, group: widths[group] - steps}
    return sum(_value(term, widths) - _value(term, after) for term in terms)


def _value(term: Term, widths: Mapping[str, int]) -> float:
    return term.factor * math.prod(widths[name] for name in term.groups)


def parameter_cost(groups: Sequence[Group], parameters: Parameters) -> Cost:
    """How many numbers the parameters hold."""
    return _tensor_cost(groups, parameters, dict.fromkeys(parameters, 1))


def byte_cost(groups: Sequence[Group], parameters: Parameters) -> Cost:
    """How many bytes the parameters take in their own types."""
    sizes = {name: tensor.element_size() for name, tensor in parameters.items()}
    return _tensor_cost(groups, parameters, sizes)


def neuron_cost(groups: Sequence[Group]) -> Cost:
    """How many neurons the groups have."""
    return Cost(fixed=0, terms=tuple(Term(factor=1, groups=(group.name,)) for group in groups))


def flop_cost(groups: Sequence[Group], graph: Graph, *, total: float) -> Cost:
    """How many floating-point operations the example call takes; a multiply-add counts as two.

    Args:
        groups: The groups.
        graph: Where their layers are, with the shapes of the example.
        total: The operations of the whole network on the example, however counted; what is not a
            product of a group's weight is fixed.

    Returns:
        The cost.
    """
    owners, everything = _Owners(groups), {group.name: group.neurons for group in groups}
    terms: list[Term] = []
    for node in graph.nodes:
        if isinstance(node, Affine | Convolution):
            shape = graph.parameters[node.weight].shape
            places = math.prod(graph.shapes[node.output]) // shape[0]
            terms += owners.cost(2 * places, node.weight, shape)
    terms = [term for term in terms if term.groups]
    return Cost(
        fixed=max(0.0, total - sum(_value(term, everything) for term in terms)), terms=tuple(terms)
    )


def _tensor_cost(
    groups: Sequence[Group], parameters: Parameters, sizes: Mapping[str, float]
) -> Cost:
    owners = _Owners(groups)
    terms = [
        term
        for name, tensor in parameters.items()
        for term in owners.cost(sizes[name], name, tensor.shape)
    ]
    return Cost(
        fixed=sum(term.factor for term in terms if not term.groups),
        terms=tuple(term for term in terms if term.groups),
    )


class _Owners:
    """Which groups own which parts of the axes of tensors."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.owners: dict[Axis, list[tuple[Group, int | None]]] = defaultdict(list)
        for group in groups:
            parts: Counter[Axis] = Counter()
            for part in group.slices:
                parts[part.parameter, part.axis] += part.stop - part.start
            for axis in axes_of(group):
                self.owners[axis].append((group, parts.get(axis)))

    def cost(self, factor: float, name: str, shape: Sequence[int]) -> list[Term]:
        """A tensor's cost: its rows, group by group, by its columns, group by group."""
        if math.prod(shape) == 1:
            return [Term(factor=factor, groups=())]  # one entry for all neurons stays
        inner = math.prod(shape[2:])
        lengths = (*shape, 1, 1)[:2]
        rows, columns = (self._parts((name, axis), size) for axis, size in enumerate(lengths))
        return [
            Term(
                factor=factor * inner * row.factor * column.factor,
                groups=(*row.groups, *column.groups),
            )
            for row in rows
            for column in columns
        ]

    def _parts(self, axis: Axis, size: int) -> list[Term]:
        """An axis as a sum of what each neuron of its groups has, and of what none has."""
        parts, rest = [], size
        for group, entries in self.owners.get(axis, ()):
            own = size if entries is None else entries
            parts.append(Term(factor=own // group.neurons, groups=(group.name,)))
            rest -= own
        return [*parts, Term(factor=rest, groups=())] if rest else parts
