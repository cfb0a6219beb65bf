"""How far two networks are apart on queries of a law."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.shells.calls import Call
from coreprune.shells.network import Network
from coreprune.shells.outputs import leaves_of

ROUNDING = 1e-12
"""Share of the outputs' squares below which what is left of them is rounding, no variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChange:
    """What changed over all floating-point outputs that are finite in the original, in their units.

    Attributes:
        error: The root mean square difference; infinite where the pruned model gives no number.
        spread: The standard deviation of the original's outputs, each about its own mean.
    """

    error: float
    spread: float


def output_change(original: Network, pruned: Network, calls: Iterable[Call]) -> OutputChange | None:
    """Run both networks on the same calls.

    Args:
        original: The network.
        pruned: The same network with other tensors.
        calls: At least one.

    Returns:
        The change, or None when the outputs hold no floating-point number that is finite in the
        original, or differ in shape.
    """
    squares, sums = 0.0, _Sums()
    for call in calls:
        wanted, got = _flat(original, call), _flat(pruned, call)
        if wanted.shape != got.shape:
            return None
        known = wanted.isfinite()
        difference = torch.where(known, wanted - got, 0.0)
        squares += float(difference.square().nan_to_num(math.inf, math.inf).sum())
        sums.add(torch.where(known, wanted, 0.0), known.double())
    if not sums.numbers:
        return None
    return OutputChange(error=math.sqrt(squares / sums.numbers), spread=sums.deviation())


class _Sums:
    """Sums of every output, by how many an example has: sequences may differ in length."""

    def __init__(self) -> None:
        self.numbers, self.square = 0.0, 0.0
        self.by_length: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, outputs: Tensor, known: Tensor) -> None:
        """Take in a batch, zero where it is not known. Shapes (b, outputs)."""
        self.numbers += float(known.sum())
        self.square += float(outputs.square().sum())
        counts, totals = self.by_length.get(outputs.shape[1], (torch.zeros(()), torch.zeros(())))
        self.by_length[outputs.shape[1]] = (
            counts.to(known) + known.sum(0),
            totals.to(outputs) + outputs.sum(0),
        )

    def deviation(self) -> float:
        """The root mean square distance of the outputs from their own means."""
        explained = sum(
            float((totals.square() / counts.clamp_min(1)).sum())
            for counts, totals in self.by_length.values()
        )
        left = self.square - explained
        return math.sqrt(left / self.numbers) if left > ROUNDING * self.square else 0.0


def _flat(model: Network, call: Call) -> Tensor:
    """The floating-point outputs of a call side by side, one row an example. Shape (b, outputs)."""
    leaves = [
        leaf.double().flatten(1) if leaf.ndim > 1 else leaf.double().reshape(-1, 1)
        for leaf in leaves_of(model.run(call))
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
    ]
    if not leaves:
        return torch.zeros(0, 0)
    if any(len(leaf) != len(leaves[0]) for leaf in leaves):
        leaves = [leaf.reshape(1, -1) for leaf in leaves]
    return torch.cat(leaves, dim=1)
