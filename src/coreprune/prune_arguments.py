"""What `prune` refuses before any work, and once the network is known."""

from pathlib import Path
from typing import Literal, get_args

from coreprune.budget import Budget, Keep, check_keep
from coreprune.errors import ArgumentError
from coreprune.opening import Model
from coreprune.prospect import Prospect
from coreprune.repair import Repair

Order = Literal["top_down", "bottom_up"]


def check_arguments(
    keep: Keep | None, *, lossless: bool, order: str | None, repair: object
) -> None:
    """Refuse what cannot be meant.

    Raises:
        ArgumentError: Naming the argument, the rule, the value and the way out.
    """
    if (keep is None) != bool(lossless):
        raise ArgumentError(
            f"exactly one of keep and lossless must be given, got keep={keep!r} and "
            f"lossless={lossless!r}; pass keep=0.5 to drop half of the neurons, or lossless=True"
        )
    if keep is not None:
        check_keep(keep)
    if order is not None and order not in get_args(Order):
        raise ArgumentError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    if repair is not None and not isinstance(repair, Repair):
        raise ArgumentError(
            f"repair must be coreprune.Repair(...), got {repair!r}; pass Repair(seconds=60)"
        )
    if repair is not None and isinstance(keep, Budget) and keep.kind == "certified":
        raise ArgumentError(
            f"{keep} speaks of the network as it is cut and cannot be given with repair, which "
            "changes it; prune without, call coreprune.repair on the result, and "
            "coreprune.certify for what is proven then"
        )


def check_kind(model: Model, *, repair: object) -> None:
    """Refuse what only modules can have.

    Raises:
        ArgumentError: With the way out.
    """
    if repair is not None and isinstance(model, str | Path):
        raise ArgumentError(
            "repair needs derivatives by weights, which a file does not give; prune the module "
            "that it was exported from, or leave repair out and pass queries of your own"
        )


def check_units(keep: Keep, prospect: Prospect) -> None:
    """Refuse a budget in the outputs' units where errors are not in them.

    Raises:
        ArgumentError: With the way out.
    """
    if isinstance(keep, Budget) and keep.kind == "error" and prospect.prices.responses.note:
        raise ArgumentError(
            f"{keep} needs outputs that have derivatives by the layers that are cut; "
            "name a size, as Budget(parameters=0.5)"
        )
