"""What every group's neurons are worth to the network's outputs: the price lists of budgets."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coreprune.core.reconstruction import Path
from coreprune.core.selection.paths import PathMethod, Reader, path_of
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.views import Run, View
from coreprune.laws.calls import only_input
from coreprune.progress import Progress, silent
from coreprune.shells.calls import Call, batch_size
from coreprune.shells.outputs import leaves_of
from coreprune.sizes.allocation import Price

EXAMPLES, PICTURES = 1024, 256
"""Queries over which the outputs' responses are averaged: fewer where each has many places."""

FLOOR = 1e-3
"""What every direction of a reader's outputs counts for, as a share of the mean one: derivatives
vanish where the network saturates, changes do not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Responses:
    """How the network's outputs respond to the readers of all groups.

    Attributes:
        roots: L with LᵀL = M / outputs of one example, by the reader's weight: ‖L e‖² is the
            expected squared change of one output by an error e. Shapes (k, k).
        note: Why there are none in the outputs' units, or None.
    """

    roots: Mapping[str, Tensor]
    note: str | None = None

    def root(self, reader: str, kept_rows: Tensor | None) -> Tensor:
        """L of a reader by its weight, of which only these rows are left; None for all."""
        root = self.roots[reader]
        return root if kept_rows is None else root[:, kept_rows.to(root.device)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriceList:
    """What the groups' neurons are worth; empty for methods that do not ask.

    Attributes:
        prices: By the group's name.
        paths: In which order neurons go, in the original network, likewise.
        responses: How the outputs respond to the readers.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    responses: Responses = field(default_factory=lambda: Responses(roots={}))


def price_list(moments: GroupMoments, method: PathMethod, *, tell: Progress = silent) -> PriceList:
    """The path and the price of every group in the original network.

    Args:
        moments: Knows the law, the groups and the model.
        method: Whose paths.
        tell: Called as (what, done, of).

    Returns:
        One of each for every group.
    """
    tell("pricing every size", 0, len(moments.groups) + 1)
    answer, run = responses(moments), Run(moments)
    parameters = moments.subject.graph.parameters
    paths = {}
    for done, group in enumerate(moments.groups, start=1):
        tell("pricing every size", done, len(moments.groups) + 1)
        roots = [answer.root(consumer.affine.weight, None) for consumer in group.consumers]
        readers = weighted_readers(run.views(group, parameters), roots)
        paths[group.name] = path_of(method, readers)
    return PriceList(
        prices={
            group.name: Price(neurons=group.neurons, errors=paths[group.name].errors)
            for group in moments.groups
        },
        paths=paths,
        responses=answer,
    )


def responses(moments: GroupMoments) -> Responses:
    """Measure how much the outputs respond to each reader, by derivatives on queries of the law.

    Args:
        moments: Knows the law, the groups and the model.

    Returns:
        The responses; where the model has no derivatives, every reader counts by the variance of
        what it gives, and the note says so.
    """
    names = [consumer.affine.weight for group in moments.groups for consumer in group.consumers]
    parameters = moments.subject.graph.parameters
    weights = {name: parameters[name] for name in names}
    example = only_input(moments.subject.call)
    examples = EXAMPLES if example is None or example.ndim < 4 else PICTURES
    calls = moments.first(examples)
    first = next(calls)
    outputs = _outputs_of_one(moments, first)
    metrics = moments.subject.metrics(itertools.chain([first], calls), weights, seed=moments.seed)
    finite = all(bool(metric.isfinite().all()) for metric in metrics.values())
    if not outputs or not finite or not any(bool(metric.any()) for metric in metrics.values()):
        unit = {
            name: torch.eye(len(weight), dtype=torch.float64, device=weight.device)
            for name, weight in weights.items()
        }
        note = (
            f"the outputs have no finite derivatives by the layers that were cut"
            f"{_because(moments.subject.underivable)}: errors of different layers are compared in "
            "the units of what reads them"
        )
        return Responses(roots=unit, note=note)
    return Responses(roots={name: _root(metric / outputs) for name, metric in metrics.items()})


def weighted_readers(views: Sequence[View], roots: Sequence[Tensor]) -> list[Reader]:
    """The readers of a group with their weights L W in the units of the outputs."""
    return [
        Reader(weights=root @ view.weights, moments=view.moments, taps=view.taps)
        for view, root in zip(views, roots, strict=True)
    ]


def _because(reason: str | None) -> str:
    return "" if reason is None else f" ({reason})"


def _outputs_of_one(moments: GroupMoments, call: Call) -> int:
    """How many floating-point numbers the network gives for one example."""
    leaves = leaves_of(moments.subject.run(call))
    numbers = sum(
        leaf.numel() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()
    )
    return math.ceil(numbers / batch_size(call))


def _root(metric: Tensor) -> Tensor:
    """L with LᵀL = M + floor."""
    floored = metric.clone()
    floored.diagonal().add_(FLOOR * float(metric.diagonal().mean()) or 1e-30)
    root: Tensor = torch.linalg.cholesky(floored, upper=True)
    return root
