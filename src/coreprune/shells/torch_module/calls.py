"""Example inputs as a call of the model."""

import threading
from collections.abc import Callable, Mapping
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
        return [leaf for leaf in self.leaves() if _is_tensor(leaf)]

    def leaves(self) -> list[Any]:
        """Everything in the arguments."""
        return pytree.tree_leaves((self.args, self.kwargs))

    def with_tensor(self, tensor: Tensor) -> "Call":
        """The same call with every tensor in it replaced by this one."""
        return self.mapped(lambda leaf: tensor if _is_tensor(leaf) else leaf)

    def like(self, other: "Call") -> "Call":
        """The same call on the other's device, floating-point tensors in its floating type."""
        known = other.tensors()
        floating = [tensor.dtype for tensor in known if tensor.is_floating_point()]

        def moved(leaf: Any) -> Any:  # noqa: ANN401
            if not _is_tensor(leaf) or not known:
                return leaf
            wide = leaf.is_floating_point() and floating
            return leaf.to(known[0].device, floating[0] if wide else leaf.dtype)

        return self.mapped(moved)

    def mapped(self, change: Callable[[Any], Any]) -> "Call":
        """The same call with every leaf of its arguments changed."""
        args, kwargs = pytree.tree_map(change, (self.args, self.kwargs))
        return Call(args=args, kwargs=kwargs)


def call_of(example_inputs: Any, example_kwargs: Mapping[str, Any] | None) -> Call:  # noqa: ANN401
    """A tuple or list holds the positional arguments; anything else is the only one."""
    several = isinstance(example_inputs, tuple | list)
    args = tuple(example_inputs) if several else (example_inputs,)
    return Call(args=args, kwargs=dict(example_kwargs or {}))


def run(model: nn.Module, call: Call, *, seed: int = 0, gradients: bool = False) -> Any:  # noqa: ANN401
    """The model's output from the same random state each time, without gradients unless asked.

    The model gets copies of the inputs: its forward pass may write into them.
    """
    devices = {tensor.device for tensor in call.tensors() if tensor.is_cuda}
    grad_mode = torch.enable_grad() if gradients else torch.no_grad()
    with ONE_THREAD, grad_mode, torch.random.fork_rng(list(devices)):
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
        way = "a tensor, or a tuple of positional arguments, on the model's device"
        dtypes = {one.dtype for one in call.tensors() if one.is_floating_point()}
        own = {one.dtype for one in model.parameters() if one.is_floating_point()}
        if len(own) == 1 and dtypes and dtypes != own:
            kind = str(*own).removeprefix("torch.")
            way = f"inputs of the model's type, {kind}, as with --input 1x20@{kind}"
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors()) or "no tensor"
        raise ArgumentError(
            f"example_inputs must run through the model, but {type(model).__name__} raised "
            f"{type(reason).__name__}: {first_line(reason)} (got {shapes}); pass {way}"
        ) from reason


def first_line(reason: BaseException) -> str:
    """What an exception says, in one line."""
    return next(iter(str(reason).strip().splitlines()), "no message")


def batch_size(call: Call) -> int:
    """The size of axis 0 of the first tensor that has one; 1 where there is none."""
    return next((len(tensor) for tensor in call.tensors() if tensor.ndim > 0), 1)


def other_batch(call: Call) -> Call:
    """The same call with the batch, axis 0 of the first tensor, twice as large."""
    tensors = [tensor for tensor in call.tensors() if tensor.ndim > 0]
    batch = len(tensors[0]) if tensors else None

    def doubled(leaf: Any) -> Any:  # noqa: ANN401
        if _is_tensor(leaf) and leaf.ndim > 0 and len(leaf) == batch:
            return torch.cat([leaf, leaf])
        return leaf

    return call.mapped(doubled)


def _copied(leaf: Any) -> Any:  # noqa: ANN401
    if not _is_tensor(leaf):
        return leaf
    return leaf.clone() if torch.is_grad_enabled() else leaf.detach().clone()


def _is_tensor(leaf: Any) -> bool:  # noqa: ANN401
    return isinstance(leaf, Tensor)
