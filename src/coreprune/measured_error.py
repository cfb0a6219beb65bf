"""How far two models are apart on queries of a law."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coreprune.shells.torch_module.calls import Call, run
from coreprune.shells.torch_module.outputs import leaves_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputChange:
    """What changed over all floating-point outputs, in their units.

    Attributes:
        error: The root mean square difference.
        spread: The standard deviation of the original's outputs, each about its own mean.
    """

    error: float
    spread: float


def output_change(
    original: nn.Module, pruned: nn.Module, calls: Iterable[Call]
) -> OutputChange | None:
    """Run both models on the same calls.

    Args:
        original: In evaluation mode.
        pruned: Likewise.
        calls: At least one.

    Returns:
        The change, or None when the outputs hold no floating-point tensor.
    """
    squares, examples, first, second = 0.0, 0, 0.0, 0.0
    total: Tensor | None = None
    numbers = 0
    for call in calls:
        wanted, got = _flat(original, call), _flat(pruned, call)
        if not wanted.numel() or wanted.shape != got.shape:
            return None
        squares += float((wanted - got).square().sum())
        second += float(wanted.square().sum())
        numbers += wanted.numel()
        examples += len(wanted)
        sums = wanted.sum(0)
        total = sums if total is None or total.shape != sums.shape else total + sums
    if total is None or not numbers:
        return None
    first = float((total / examples).square().mean())
    return OutputChange(
        error=math.sqrt(squares / numbers),
        spread=math.sqrt(max(0.0, second / numbers - first)),
    )


def _flat(model: nn.Module, call: Call) -> Tensor:
    """The floating-point outputs of a call side by side, one row an example. Shape (b, outputs)."""
    leaves = [
        leaf.double().flatten(1) if leaf.ndim > 1 else leaf.double().reshape(-1, 1)
        for leaf in leaves_of(run(model, call))
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
    ]
    if not leaves:
        return torch.zeros(0, 0)
    if any(len(leaf) != len(leaves[0]) for leaf in leaves):
        leaves = [leaf.reshape(1, -1) for leaf in leaves]
    return torch.cat(leaves, dim=1)
