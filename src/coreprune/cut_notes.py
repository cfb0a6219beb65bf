"""What a result says of its cut in words."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from coreprune.budget import SIZES, Budget, Keep
from coreprune.error_budget import NEAR
from coreprune.measured_error import OutputChange
from coreprune.prospect import Prospect
from coreprune.records import LOST, UNCHANGED, GroupRecord
from coreprune.shells.torch_module.files import tensors_hash


def unchanged(original: Mapping[str, Tensor], changed: Mapping[str, Tensor]) -> list[str]:
    """That nothing was removed, where no bit of what was cut is another."""
    before = {name: original[name] for name in changed if name in original}
    same = tensors_hash(before) == tensors_hash(changed)
    return [UNCHANGED] if same else []


def reached(keep: Keep, prospect: Prospect, records: Mapping[str, GroupRecord]) -> Iterator[str]:
    """What a budget came to where the record does not count it anyway."""
    if isinstance(keep, Budget) and keep.kind in SIZES and keep.kind != "parameters":
        cost = prospect.costs[keep.kind]
        before = {group.name: group.neurons for group in prospect.partition.groups}
        after = before | {name: record.neurons_after for name, record in records.items()}
        yield f"{cost.of(after) / cost.of(before):.1%} of the original's {keep.kind} are left"


def lost(change: OutputChange | None) -> Iterator[str]:
    """That little is left of what the outputs tell inputs apart by."""
    if change is not None and change.error > LOST * change.spread > 0:
        yield (
            f"the outputs are off by {change.error / change.spread:.0%} of what they vary by: the "
            "network may not work as it is; keep more, choose queries nearer to its inputs, or "
            "repair a module"
        )


def missed(keep: Keep, change: OutputChange | None) -> Iterator[str]:
    """That the measured error exceeds the one that was asked for by more than its noise."""
    if not isinstance(keep, Budget) or keep.kind != "error" or change is None:
        return
    if not change.error <= keep.target * NEAR:
        yield (
            f"asked was an error of at most {keep.target:.4g}; measured is "
            f"{change.error:.4g}, since errors are planned to first order; ask for less"
        )
