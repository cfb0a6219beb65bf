"""What is known of a model before anything is cut: its groups, their law, costs and prices."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from coreprune.core.coreset import Method, check_method
from coreprune.core.selection.paths import follows_a_path
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.prices import PriceList, price_list
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.groups import Group, Partition, Whole
from coreprune.graph.ir import Norm
from coreprune.graph.partition import find_groups
from coreprune.laws.calls import Law, make_ready
from coreprune.laws.choice import choose_law, remark_on
from coreprune.laws.space import QuerySpace, query_space
from coreprune.opening import Model, network_of
from coreprune.progress import Progress
from coreprune.queries.tokens import Tokens
from coreprune.shells.network import Network
from coreprune.sizes.costs import Cost, byte_cost, flop_cost, neuron_cost, parameter_cost

MOST = 2**14
"""Channels times taps whose covariance is formed: 2 GiB in float64, and three such at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """What the user says of the model and the method; see `coreprune.prune`."""

    method: Method
    queries: Law | None
    round_to: int
    skip: Collection[str]
    example_kwargs: Mapping[str, Any] | None
    dynamic_shapes: Any
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prospect:
    """A model that can be cut.

    Attributes:
        subject: The model under work.
        partition: Its groups and the layers left whole.
        space: How large the inputs of its layers get.
        moments: What the groups' readers see under the law.
        words: The law and why it was taken, for people.
        costs: What widths cost, by the names of a budget's targets.
        prices: What neurons are worth; empty for methods that do not ask.
        notes: What a careful user should know.
    """

    subject: Network
    partition: Partition
    space: QuerySpace
    moments: GroupMoments
    words: str
    costs: Mapping[str, Cost]
    prices: PriceList
    notes: tuple[str, ...]


def survey(
    model: Model,
    example_inputs: Any,  # noqa: ANN401
    options: Options,
    *,
    tell: Progress,
) -> Prospect:
    """Read a model, find its groups, and price their neurons where the method asks for it.

    Args:
        model: A module, or the path of an .onnx file; it is not touched.
        example_inputs: As `coreprune.prune` takes them.
        options: What the user says.
        tell: Called as (what, done, of).

    Returns:
        The prospect.

    Raises:
        ArgumentError: When an option breaks its rule.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.
    """
    subject, partition = read_groups(model, example_inputs, options, tell=tell)
    if follows_a_path(options.method):
        partition = _with_moments(subject, partition)
    choice = choose_law(options.queries, subject, partition.groups)
    planned = choice.law if isinstance(choice.law, Tokens) else options.queries
    space = query_space(subject, partition.groups, queries=planned, seed=int(options.seed))
    moments = GroupMoments(
        subject, partition.groups, law=choice.law, seed=int(options.seed), tell=tell
    )
    prices = PriceList()
    if follows_a_path(options.method):
        make_ready(moments.law, subject, seed=moments.seed, tell=tell)
        prices = price_list(moments, options.method, tell=tell)
    law = remark_on(choice.law, subject)
    remarks = [remark for remark in (prices.responses.note, moments.few, law) if remark]
    return Prospect(
        subject=subject,
        partition=partition,
        space=space,
        moments=moments,
        words=f"{moments.words()}; {choice.why}",
        costs=_costs(subject, partition.groups),
        prices=prices,
        notes=(*subject.graph.notes, *remarks),
    )


def read_groups(
    model: Model,
    example_inputs: Any,  # noqa: ANN401
    options: Options,
    *,
    tell: Progress,
) -> tuple[Network, Partition]:
    """Read a model and find its groups.

    Args:
        model: A module, or the path of an .onnx file; it is not touched.
        example_inputs: As `coreprune.prune` takes them.
        options: What the user says.
        tell: Called as (what, done, of).

    Returns:
        The model under work and its groups, at least one.

    Raises:
        ArgumentError: When an option breaks its rule.
        UnsupportedModelError: When nothing can be cut, or weights are not finite.
    """
    _check(options)
    tell("reading the model", 0, 1)
    subject = network_of(
        model,
        example_inputs,
        example_kwargs=options.example_kwargs,
        dynamic_shapes=options.dynamic_shapes,
    )
    return subject, _partition(subject, options.skip)


def _costs(subject: Network, groups: Sequence[Group]) -> dict[str, Cost]:
    """By the names of the budget's targets; what buffers hold costs nothing."""
    trained = subject.trained
    return {
        "parameters": parameter_cost(groups, trained),
        "flops": flop_cost(groups, subject.graph, total=subject.flops()),
        "bytes": byte_cost(groups, trained),
        "neurons": neuron_cost(groups),
    }


def _check(options: Options) -> None:
    check_method(options.method)
    queries: object = options.queries
    round_to, seed = options.round_to, options.seed
    if not isinstance(round_to, int | np.integer) or round_to < 1:
        raise ArgumentError(f"round_to must be a whole number of at least 1, got {round_to!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"seed must be a whole number of at least 0, got {seed!r}")
    if queries is not None and not isinstance(queries, Law):
        names = ", ".join(sorted(kind.__name__ for kind in get_args(Law)))
        raise ArgumentError(
            f"queries must be None or one of {names}, got {type(queries).__name__}; "
            "for inputs of your own pass coreprune.Samples(inputs)"
        )


def _partition(subject: Network, skip: Collection[str]) -> Partition:
    """The groups of a model with sound values.

    Raises:
        UnsupportedModelError: When there is none, or values are missing or not finite.
    """
    _check_values(subject)
    partition = find_groups(subject.graph, skip=skip)
    if not partition.groups:
        raise UnsupportedModelError(_nothing_to_cut(subject, partition))
    return partition


def _with_moments(subject: Network, partition: Partition) -> Partition:
    """The groups whose moments fit into memory, taps of convolutions counted.

    Raises:
        UnsupportedModelError: When there is none.
    """
    wide = {
        group.name: widest
        for group in partition.groups
        if (widest := max(group.neurons * reader.taps for reader in group.consumers)) > MOST
        and widest > group.neurons
    }
    reasons = tuple(
        Whole(
            name=name,
            reason=f"a reader sees {widest:,} numbers of it at once, and moments of more than "
            f"{MOST:,} do not fit into memory; method='magnitude' cuts it without",
        )
        for name, widest in wide.items()
    )
    left = replace(
        partition,
        groups=tuple(group for group in partition.groups if group.name not in wide),
        whole=(*partition.whole, *reasons),
    )
    if not left.groups:
        raise UnsupportedModelError(_nothing_to_cut(subject, left))
    return left


def _check_values(subject: Network) -> None:
    empty = [name for name, tensor in subject.graph.parameters.items() if tensor.is_meta]
    if empty:
        raise UnsupportedModelError(
            f"model has no values in {', '.join(empty)} (meta device); load its weights first"
        )
    if strange := subject.nonfinite():
        raise UnsupportedModelError(
            f"model has NaN or infinite entries in {', '.join(strange)}; restore a sound checkpoint"
        )
    if below := _negative(subject):
        raise UnsupportedModelError(
            f"model has negative variances in {', '.join(below)}; restore a sound checkpoint"
        )


def _negative(subject: Network) -> list[str]:
    """Running variances below zero."""
    norms = [node for node in subject.graph.nodes if isinstance(node, Norm)]
    return [node.variance for node in norms if (subject.graph.parameters[node.variance] < 0).any()]


def _nothing_to_cut(subject: Network, partition: Partition) -> str:
    layers = "; ".join(f"{entry.name}: {entry.reason}" for entry in partition.whole)
    notes = "; ".join(subject.graph.notes)
    layers = layers or "It has no layer with weights (one that was quantised has none to cut)"
    unread = f" Noted while reading it: {notes}." if notes else ""
    return (
        f"model has no layer that can be cut. {layers}.{unread} "
        "Only linear layers and convolutions whose neurons reach other such layers through "
        "functions of each neuron alone can be cut"
    )
