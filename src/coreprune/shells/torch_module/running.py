"""Forward passes of a module, the same each time."""

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from coreprune.errors import ArgumentError
from coreprune.shells.calls import Call, first_line

ONE_THREAD = threading.RLock()
"""Held while the whole process is changed: its random state, its streams, what torch patches."""


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
            way = f"inputs of the model's type, {kind}"
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors()) or "no tensor"
        raise ArgumentError(
            f"example_inputs must run through the model, but {type(model).__name__} raised "
            f"{type(reason).__name__}: {first_line(reason)} (got {shapes}); pass {way}"
        ) from reason


def _copied(leaf: Any) -> Any:  # noqa: ANN401
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.clone() if torch.is_grad_enabled() else leaf.detach().clone()
