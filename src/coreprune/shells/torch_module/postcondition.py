"""What makes cutting safe: the cut model must equal the original with its neurons zeroed out."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from coreprune.shells.torch_module.calls import Call, first_line, other_batch, run
from coreprune.shells.torch_module.modules import with_tensors


def violation(
    working: nn.Module, call: Call, *, small: Mapping[str, Tensor], wide: Mapping[str, Tensor]
) -> str | None:
    """Compare the cut model with the original whose dropped neurons have zero outgoing weights.

    Args:
        working: The original in evaluation mode.
        call: The example inputs; another batch size is tried as well where the original takes it.
        small: The tensors of the cut model.
        wide: The same at the original shapes, see `coreprune.graph.cut.widen`.

    Returns:
        What is wrong, for people, or None when both models agree to rounding.
    """
    cut, padded = with_tensors(working, small), with_tensors(working, wide)
    slack = max((_rounding(tensor) for tensor in small.values()), default=0.0)
    for trial in (call, other_batch(call)):
        try:
            expected = run(padded, trial)
        except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
            continue
        try:
            obtained = run(cut, trial)
        except Exception as reason:  # noqa: BLE001 (the user's code runs: anything may come)
            return f"its width is fixed somewhere in the model's code ({first_line(reason)})"
        if not _close(obtained, expected, slack):
            return "cutting it changes more than its own neurons"
    return _violation_in_training(cut, padded, call)


def _violation_in_training(cut: nn.Module, padded: nn.Module, call: Call) -> str | None:
    """Branches that only training takes may read the neurons too; what they give is random."""
    try:
        expected = run(padded.train(), call)
    except Exception:  # noqa: BLE001 (it may want targets, or a larger batch)
        return None
    try:
        obtained = run(cut.train(), call)
    except Exception as reason:  # noqa: BLE001 (the user's code runs: anything may come)
        return f"its width is fixed in what the model does in training ({first_line(reason)})"
    shapes = [pytree.tree_map(_shape, tree) for tree in (obtained, expected)]
    return None if shapes[0] == shapes[1] else "its output leaves the network in training"


def _shape(leaf: Any) -> Any:  # noqa: ANN401
    return tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf)


def _rounding(tensor: Tensor) -> float:
    """Half the digits of the tensor's type: what sums in another order may differ by."""
    continuous = tensor.is_floating_point() or tensor.is_complex()
    return torch.finfo(tensor.dtype).eps ** 0.5 if continuous else 0.0


def _close(obtained: Any, expected: Any, slack: float) -> bool:  # noqa: ANN401
    left, right = pytree.tree_leaves(obtained), pytree.tree_leaves(expected)
    return len(left) == len(right) and all(
        _leaves_close(*pair, slack) for pair in zip(left, right, strict=True)
    )


def _leaves_close(left: Any, right: Any, slack: float) -> bool:  # noqa: ANN401
    if type(left) is type(right) and isinstance(right, float | complex):
        left, right = torch.tensor(left), torch.tensor(right)
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return type(left) is type(right)
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    own = _rounding(right)
    if own == 0 or not right.numel():
        return True  # a discrete output may flip where two scores tie
    finite = right[right.isfinite()]
    scale = float(finite.abs().amax()) if len(finite) else 0.0
    # A double output may come from single weights.
    slack = max(slack, own)
    wide = torch.complex128 if right.is_complex() else torch.float64
    return torch.allclose(
        left.to(wide), right.to(wide), rtol=slack, atol=slack * scale, equal_nan=True
    )
