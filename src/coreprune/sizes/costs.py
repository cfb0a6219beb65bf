"""What a network of given widths costs: parameters, bytes, operations and neurons.

A tensor that has rows of one group and columns of another costs the product of their widths, so
every cost is a constant and a sum of terms, each with at most two widths in it.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coreprune.graph.cut import columns_of, rows_of
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
    owner_of_rows, owner_of_columns = _owners(groups)
    everything = {group.name: group.neurons for group in groups}
    terms = []
    for node in graph.nodes:
        if isinstance(node, Affine | Convolution):
            owners = owner_of_rows.get(node.weight), owner_of_columns.get(node.weight)
            if any(owners):
                shape = graph.parameters[node.weight].shape
                rows = math.prod(graph.shapes[node.output]) // shape[0]
                terms.append(_term(2 * rows, shape, owners, neurons=everything))
    return Cost(
        fixed=max(0.0, total - sum(_value(term, everything) for term in terms)), terms=tuple(terms)
    )


def _tensor_cost(
    groups: Sequence[Group], parameters: Parameters, sizes: Mapping[str, float]
) -> Cost:
    owner_of_rows, owner_of_columns = _owners(groups)
    neurons = {group.name: group.neurons for group in groups}
    fixed, terms = 0.0, []
    for name, tensor in parameters.items():
        rows, columns = owner_of_rows.get(name), owner_of_columns.get(name)
        if rows is not None and (tensor.ndim == 0 or tensor.shape[0] != neurons[rows]):
            rows = None  # one entry for all neurons stays
        if rows is None and columns is None:
            fixed += sizes[name] * tensor.numel()
        else:
            terms.append(_term(sizes[name], tensor.shape, (rows, columns), neurons=neurons))
    return Cost(fixed=fixed, terms=tuple(terms))


def _owners(groups: Collection[Group]) -> tuple[dict[str, str], dict[str, str]]:
    rows = {name: group.name for group in groups for name in rows_of(group)}
    columns = {name: group.name for group in groups for name in columns_of(group)}
    return rows, columns


def _term(
    factor: float,
    shape: Sequence[int],
    owners: tuple[str | None, str | None],
    *,
    neurons: Mapping[str, int],
) -> Term:
    """A tensor's cost; axis 0 and axis 1 belong to these groups, in equal parts to each neuron."""
    parts = [
        size if axis > 1 or (owner := owners[axis]) is None else size // neurons[owner]
        for axis, size in enumerate(shape)
    ]
    return Term(
        factor=factor * math.prod(parts), groups=tuple(name for name in owners if name is not None)
    )
