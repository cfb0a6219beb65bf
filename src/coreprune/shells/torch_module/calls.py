"""Example inputs as a call of the model."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from coreprune.errors import ArgumentError

ONE_THREAD = threading.RLock()
"""Held while the whole process is changed: its random state, its streams, what torch patches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """Positional and keyword arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        """Every tensor in the arguments."""
        return [leaf for leaf in pytree.tree_leaves((self.args, self.kwargs)) if _is_tensor(leaf)]


def call_of(example_inputs: Any, example_kwargs: Mapping[str, Any] | None) -> Call:  # noqa: ANN401
    """A tuple or list holds the positional arguments; anything else is the only one."""
    several = isinstance(example_inputs, tuple | list)
    args = tuple(example_inputs) if several else (example_inputs,)
    return Call(args=args, kwargs=dict(example_kwargs or {}))


def run(model: nn.Module, call: Call, *, seed: int = 0) -> Any:  # noqa: ANN401
    """The model's output, without gradients and from the same random state each time.

    The model gets copies of the inputs: its forward pass may write into them.
    """
    devices = {tensor.device for tensor in call.tensors() if tensor.is_cuda}
    with ONE_THREAD, torch.no_grad(), torch.random.fork_rng(list(devices)):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every device
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        args, kwargs = pytree.tree_map(_copied, (call.args, call.kwargs))
        return model(*args, **kwargs)


def check_runs(model: nn.Module, call: Call) -> None:
    """Insist that the model accepts the example inputs.

    Raises:
        ArgumentError: With the model's own reason and the shapes given.
    """
    try:
        run(model, call)
    except Exception as reason:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors()) or "no tensor"
        raise ArgumentError(
            f"example_inputs must run through the model, but {type(model).__name__} raised "
            f"{type(reason).__name__}: {first_line(reason)} (got {shapes}); pass a tensor, or a "
            "tuple of positional arguments, on the model's device"
        ) from reason


def first_line(reason: BaseException) -> str:
    """What an exception says, in one line."""
    return next(iter(str(reason).strip().splitlines()), "no message")


def other_batch(call: Call) -> Call:
    """The same call with the batch, axis 0 of the first tensor, twice as large."""
    tensors = [tensor for tensor in call.tensors() if tensor.ndim > 0]
    batch = len(tensors[0]) if tensors else None

    def doubled(leaf: Any) -> Any:  # noqa: ANN401
        if _is_tensor(leaf) and leaf.ndim > 0 and len(leaf) == batch:
            return torch.cat([leaf, leaf])
        return leaf

    args, kwargs = pytree.tree_map(doubled, (call.args, call.kwargs))
    return Call(args=args, kwargs=kwargs)


def _copied(leaf: Any) -> Any:  # noqa: ANN401
    return leaf.detach().clone() if _is_tensor(leaf) else leaf


def _is_tensor(leaf: Any) -> bool:  # noqa: ANN401
    return isinstance(leaf, Tensor)
