"""How many neurons each group keeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coreprune.errors import ArgumentError
from coreprune.graph.cut import columns_of, rows_of
from coreprune.graph.groups import Group
from coreprune.graph.ir import Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A target for the whole network; give exactly one.

    Attributes:
        parameters: The share of the network's parameters to keep, in (0, 1].
        neurons: The share of the neurons of all groups to keep, in (0, 1].

    Example:
        >>> Budget(parameters=0.1)
        Budget(parameters=0.1, neurons=None)
    """

    parameters: float | None = None
    neurons: float | None = None

    def __post_init__(self) -> None:
        given = {
            name: share
            for name, share in (("parameters", self.parameters), ("neurons", self.neurons))
            if share is not None
        }
        if len(given) != 1:
            raise ArgumentError(f"Budget takes exactly one target, got {len(given)}: {given}")
        for name, share in given.items():
            check_share(name, share)


Keep = float | Mapping[str, float] | Budget
"""A share of every group's neurons, a share by layer name, or a target for the whole network."""


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
    keep: Keep, groups: Sequence[Group], parameters: Parameters, *, round_to: int = 1
) -> dict[str, int]:
    """The neurons that every group keeps.

    Args:
        keep: What the user asked for.
        groups: The groups.
        parameters: The network's parameters, for their shapes: no buffers.
        round_to: Widths become multiples of this where the layer is wide enough.

    Returns:
        A width between 1 and the group's neurons, by the group's name.

    Raises:
        ArgumentError: When a layer is named that is no group, or the target cannot be reached; the
            message then says what can.
    """
    if isinstance(keep, Budget):
        found = _within(keep, groups, parameters, round_to=round_to)
    else:
        shares = _shares(keep, groups)
        found = {
            group.name: _width(group.neurons, shares[group.name], round_to) for group in groups
        }
    if (
        round_to > 1
        and not _keeps_everything(keep)
        and all(g.neurons == found[g.name] for g in groups)
    ):
        raise ArgumentError(
            f"round_to={round_to} leaves every layer whole: the widest has "
            f"{max(group.neurons for group in groups)} neurons; pass a smaller one"
        )
    return found


def _keeps_everything(keep: Keep) -> bool:
    if isinstance(keep, Budget):
        return 1 in {keep.parameters, keep.neurons}
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
        raise ArgumentError(
            f"keep names {', '.join(unknown)}, which cannot be cut; "
            f"layers that can: {', '.join(names)}"
        )
    return {name: keep.get(name, 1.0) for name in names}


def parameters_kept(
    width_of: Mapping[str, int], groups: Sequence[Group], parameters: Parameters
) -> int:
    """How many numbers the groups' parameters hold once every group has its width."""
    touched = {name for group in groups for name in (*rows_of(group), *columns_of(group))}
    shapes = {name: list(parameters[name].shape) for name in touched & parameters.keys()}
    for group in groups:
        for name in rows_of(group):
            if name in shapes and shapes[name][0] == group.neurons:
                shapes[name][0] = width_of[group.name]
        for name in columns_of(group):
            if name in shapes:
                shapes[name][1] = width_of[group.name]
    return sum(math.prod(shape) for shape in shapes.values())


def _width(neurons: int, share: float, round_to: int) -> int:
    if share == 1:
        return neurons
    multiples = max(1, math.floor(share * neurons / round_to + 0.5))
    return min(neurons, multiples * round_to)


def _within(
    budget: Budget, groups: Sequence[Group], parameters: Parameters, *, round_to: int
) -> dict[str, int]:
    """The largest common share of neurons that stays within the budget.

    Raises:
        ArgumentError: When even the least widths do not.
    """
    total = sum(tensor.numel() for tensor in parameters.values())
    neurons = sum(group.neurons for group in groups)
    everything = {group.name: group.neurons for group in groups}
    fixed = total - parameters_kept(everything, groups, parameters)

    def kept(width_of: Mapping[str, int]) -> float:
        if budget.neurons is not None:
            return sum(width_of.values()) / neurons
        return (fixed + parameters_kept(width_of, groups, parameters)) / total

    def at(share: float) -> dict[str, int]:
        return {group.name: _width(group.neurons, share, round_to) for group in groups}

    target = budget.parameters if budget.neurons is None else budget.neurons
    assert target is not None
    low, high = 0.0, 1.0
    if kept(at(low)) > target:
        kind = "parameters" if budget.neurons is None else "neurons"
        least = math.ceil(kept(at(low)) * 10_000) / 10_000
        raise ArgumentError(
            f"Budget({kind}={target}) cannot be reached: with the least widths "
            f"{least:.4f} of the {kind} stay; ask for that share or more, or lower round_to"
        )
    if kept(everything) <= target:
        return everything
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(at(middle)) <= target else (low, middle)
    return at(low)
