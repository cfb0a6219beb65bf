"""How many neurons each group keeps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from coreprune.errors import ArgumentError
from coreprune.graph.groups import Group, passengers_of
from coreprune.sizes.allocation import Price, Stage, descend, refill
from coreprune.sizes.costs import Cost

SIZES = ("parameters", "flops", "bytes", "neurons")
"""The targets that are a share of what a network costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A target for the whole network; give exactly one.

    Attributes:
        parameters: The share of the network's parameters to keep, in (0, 1].
        flops: The share of its floating-point operations on the example, in (0, 1].
        bytes: The share of the bytes that its parameters take, in (0, 1].
        neurons: The share of the neurons of all groups, in (0, 1].
        error: The expected error to stay below, positive: the root mean square, over the law of the
            queries and all outputs, of what the outputs change, in their units. Where more than a
            twentieth too much is measured, and queries are quick to draw, cuts are planned anew,
            twice at most; a note says what is left.
        certified: The proven error to stay below, positive: no output changes by more, in its
            units, for any input of the planned ball. Bisection along the path from the whole
            network to the least widths finds a small network whose fast certificate says so; it
            need not be the smallest one. For networks that are one chain of layers.

    Example:
        >>> Budget(parameters=0.1)
        Budget(parameters=0.1)
    """

    parameters: float | None = None
    flops: float | None = None
    bytes: float | None = None
    neurons: float | None = None
    error: float | None = None
    certified: float | None = None

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ArgumentError(f"Budget takes exactly one target, got {len(given)}: {given}")
        for name, value in given.items():
            if name in SIZES:
                check_share(name, value)
            else:
                _check_positive(name, value)

    def __repr__(self) -> str:
        return f"Budget({self.kind}={self.target})"

    @property
    def kind(self) -> str:
        """The name of the target."""
        return next(f.name for f in fields(self) if getattr(self, f.name) is not None)

    @property
    def target(self) -> float:
        """Its value."""
        value: float = getattr(self, self.kind)
        return value


Keep = float | Mapping[str, float] | Budget
"""A share of every group's neurons, a share by layer name, or a target for the whole network."""


def _check_positive(name: str, value: object) -> None:
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:  # type: ignore[operator]
        raise ArgumentError(f"{name} must be a positive, finite number, got {value!r}")


def check_share(name: str, share: object) -> None:
    """Refuse what is no share.

    Raises:
        ArgumentError: Naming the argument, the rule, the value and the way out.
    """
    if (
        isinstance(share, bool)
        or not isinstance(share, int | float | np.floating)
        or not 0 < share <= 1
    ):
        hint = "" if name != "keep" else "; to drop half of the neurons pass keep=0.5"
        raise ArgumentError(f"{name} must be a number in (0, 1], got {share!r}{hint}")


def check_keep(keep: Keep) -> None:
    """Refuse a keep that no network could satisfy.

    Raises:
        ArgumentError: When a share is not in (0, 1].
    """
    if isinstance(keep, Mapping):
        if not keep:
            raise ArgumentError("keep must name at least one layer, got an empty mapping")
        for name, share in keep.items():
            check_share(f"keep[{name!r}]", share)
    elif not isinstance(keep, Budget):
        check_share("keep", keep)


def widths(
    keep: Keep,
    groups: Sequence[Group],
    costs: Mapping[str, Cost],
    *,
    prices: Mapping[str, Price],
    round_to: int = 1,
) -> dict[str, int]:
    """The neurons that every group keeps.

    Args:
        keep: What the user asked for; for a certificate see `smaller_networks`.
        groups: The groups.
        costs: By the names of the budget's targets.
        prices: What each group's neurons are worth; empty for methods that do not say, whose groups
            then share a budget by one common share of neurons.
        round_to: Widths become multiples of this where the layer is wide enough.

    Returns:
        A width between 1 and the group's neurons, by the group's name.

    Raises:
        ArgumentError: When a layer is named that is no group, or the target cannot be reached; the
            message then says what can.
    """
    if not isinstance(keep, Budget):
        shares = _shares(keep, groups)
        found = {g.name: _width(g.neurons, shares[g.name], round_to) for g in groups}
    elif keep.kind == "error":
        found = _by_error(keep, costs["parameters"], prices, round_to=round_to)
    else:
        found = _by_cost(keep, groups, costs[keep.kind], prices=prices, round_to=round_to)
    if (
        round_to > 1
        and not _keeps_everything(keep)
        and max(group.neurons for group in groups) < round_to
    ):
        raise ArgumentError(
            f"round_to={round_to} leaves every layer whole: the widest has "
            f"{max(group.neurons for group in groups)} neurons; pass a smaller one"
        )
    return found


def _keeps_everything(keep: Keep) -> bool:
    if isinstance(keep, Budget):
        return keep.kind in SIZES and keep.target == 1
    return all(share == 1 for share in keep.values()) if isinstance(keep, Mapping) else keep == 1


def _shares(keep: float | Mapping[str, float], groups: Sequence[Group]) -> dict[str, float]:
    """The share of every group; those that a mapping does not name keep everything.

    Raises:
        ArgumentError: When a mapping names what is no group.
    """
    names = [group.name for group in groups]
    if not isinstance(keep, Mapping):
        return dict.fromkeys(names, keep)
    if unknown := sorted(set(keep) - set(names)):
        leaders = {rider: group.name for group in groups for rider in passengers_of(group)}
        told = [f"{one} is cut along with {leaders[one]}" for one in unknown if one in leaders]
        told.append(f"layers that can: {', '.join(names)}")
        raise ArgumentError(
            f"keep names {', '.join(unknown)}, which cannot be cut by name; {'; '.join(told)}"
        )
    return {name: keep.get(name, 1.0) for name in names}


def _width(neurons: int, share: float, round_to: int) -> int:
    if share == 1:
        return neurons
    multiples = max(1, math.floor(share * neurons / round_to + 0.5))
    return min(neurons, multiples * round_to)


def _by_error(
    budget: Budget, cost: Cost, prices: Mapping[str, Price], *, round_to: int
) -> dict[str, int]:
    """The fewest parameters of the descent whose expected error stays below the target.

    Raises:
        ArgumentError: When nothing is known of errors.
    """
    _check_prices(budget, prices)
    stages = descend(prices, cost, round_to=round_to)
    found = (stage for stage in stages if stage.error <= budget.target**2)
    return dict(min(found, key=lambda stage: stage.cost).widths)  # the first of equal ones


def smaller_networks(
    budget: Budget, cost: Cost, prices: Mapping[str, Price], *, round_to: int
) -> list[Stage]:
    """What a budget that is met by trying has to choose from.

    Args:
        budget: For messages.
        cost: What is to be saved.
        prices: What each group's neurons are worth.
        round_to: Widths below a group's own are multiples of this.

    Returns:
        The networks of the descent that cost less than all before them, the largest first; at
        least one, and not the whole network.

    Raises:
        ArgumentError: When nothing is known of errors, or there is none.
    """
    _check_prices(budget, prices)
    stages = descend(prices, cost, round_to=round_to)
    cheapest, found = next(stages).cost, []
    for stage in stages:
        if stage.cost < cheapest:
            cheapest = stage.cost
            found.append(stage)
    if not found:
        raise ArgumentError(
            f"{budget} has nothing to choose from: with round_to={round_to} no layer can lose a "
            "neuron and save parameters by it; pass a smaller one, or lossless=True"
        )
    return found


def _check_prices(budget: Budget, prices: Mapping[str, Price]) -> None:
    """Refuse methods that do not say what neurons are worth.

    Raises:
        ArgumentError: With the way out.
    """
    if not prices:
        raise ArgumentError(
            f"{budget} needs a method that knows what each size costs; pass method='optimal'"
        )


def _by_cost(
    budget: Budget,
    groups: Sequence[Group],
    cost: Cost,
    *,
    prices: Mapping[str, Price],
    round_to: int,
) -> dict[str, int]:
    """Widths within a share of the whole network's cost.

    Raises:
        ArgumentError: When even the least widths exceed it, or there is nothing to save.
    """
    everything = {group.name: group.neurons for group in groups}
    if not cost.of(everything):
        raise ArgumentError(
            f"{budget} has nothing to save: the network has no {budget.kind}; "
            "name another target, such as neurons"
        )
    least = {group.name: _width(group.neurons, 0.0, round_to) for group in groups}
    limit = budget.target * cost.of(everything) * (1 + 1e-12)
    if cost.of(least) > limit:
        share = math.ceil(cost.of(least) / cost.of(everything) * 10_000) / 10_000
        raise ArgumentError(
            f"{budget} cannot be reached: with the least widths {share:.4f} of the "
            f"{budget.kind} stay; ask for that share or more, or lower round_to"
        )
    if budget.target == 1:
        return everything
    if not prices:
        return _common_share(groups, lambda found: cost.of(found) <= limit, round_to=round_to)
    stages = descend(prices, cost, round_to=round_to)
    first = next(stage for stage in stages if stage.cost <= limit)
    return dict(refill(first, prices, cost, limit=limit, round_to=round_to).widths)


def _common_share(
    groups: Sequence[Group], fits: Callable[[Mapping[str, int]], bool], *, round_to: int
) -> dict[str, int]:
    """The largest common share of neurons whose widths fit."""

    def at(share: float) -> dict[str, int]:
        return {group.name: _width(group.neurons, share, round_to) for group in groups}

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(at(middle)) else (low, middle)
    return at(low)
