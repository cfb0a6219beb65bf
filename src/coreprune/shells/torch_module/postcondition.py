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
    for trial in (call, other_batch(call)):
        try:
            expected = run(padded, trial)
        except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
            continue
        try:
            obtained = run(cut, trial)
        except Exception as reason:  # noqa: BLE001 (the user's code runs: anything may come)
            return f"its width is fixed somewhere in the model's code ({first_line(reason)})"
        if not _close(obtained, expected):
            return "cutting it changes more than its own neurons"
    return None


def _close(obtained: Any, expected: Any) -> bool:  # noqa: ANN401
    left, right = pytree.tree_leaves(obtained), pytree.tree_leaves(expected)
    return len(left) == len(right) and all(map(_leaves_close, left, right))


def _leaves_close(left: Any, right: Any) -> bool:  # noqa: ANN401
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return type(left) is type(right)
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if not right.is_floating_point() or not right.numel():
        return True  # a discrete output may flip where two scores tie
    finite = right[right.isfinite()]
    scale = float(finite.abs().amax()) if len(finite) else 0.0
    slack = torch.finfo(right.dtype).eps ** 0.5
    return torch.allclose(
        left.double(), right.double(), rtol=slack, atol=slack * scale, equal_nan=True
    )
