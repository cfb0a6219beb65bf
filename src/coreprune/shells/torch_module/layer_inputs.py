"""What reaches the affine layers of a module for given inputs, and what they give."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from coreprune.shells.torch_module.calls import Call, run


def largest_input_norms(
    model: nn.Module, calls: Iterable[Call], weights: Mapping[str, Tensor]
) -> dict[str, float]:
    """The largest Euclidean norm of the inputs of affine layers.

    Args:
        model: In evaluation mode.
        calls: What to run it on.
        weights: The layers' weight tensors, the very ones that the model uses, by name.

    Returns:
        The largest norm over all rows of all calls, by the weights' names; zero for a layer that
        was not reached, infinite for NaN.
    """
    norms = dict.fromkeys(weights, 0.0)

    def measure(name: str, rows: Tensor) -> None:
        largest = torch.linalg.vector_norm(rows.float(), dim=-1).amax()
        norms[name] = max(norms[name], float(largest.nan_to_num(torch.inf, torch.inf)))

    with watch_inputs(weights, measure):
        for call in calls:
            run(model, call)
    return norms


def watch_inputs(
    weights: Mapping[str, Tensor], see: Callable[[str, Tensor], None]
) -> contextlib.AbstractContextManager[object]:
    """While it is open, hand over what reaches affine layers.

    Args:
        weights: The layers' weight tensors, the very ones that the model uses, by name.
        see: Called with the weight's name and the input, of shape (..., d) and not empty.

    Returns:
        A context manager.
    """
    names = {tensor.data_ptr(): name for name, tensor in weights.items()}

    def watch(source: Tensor, weight: Tensor, output: Tensor) -> Tensor:
        name = names.get(weight.data_ptr())
        if name is not None and source.numel():
            see(name, source)
        return output

    return _AffineLayers(watch)


def watch_outputs(
    weights: Mapping[str, Tensor], see: Callable[[str, Tensor], None]
) -> contextlib.AbstractContextManager[object]:
    """While it is open, hand over what affine layers give, so that derivatives by it can be taken.

    Args:
        weights: As in `watch_inputs`.
        see: Called with the weight's name and the output, of shape (..., k) and not empty, which
            requires a gradient.

    Returns:
        A context manager.
    """
    names = {tensor.data_ptr(): name for name, tensor in weights.items()}

    def watch(source: Tensor, weight: Tensor, output: Tensor) -> Tensor:
        name = names.get(weight.data_ptr())
        if name is None or not source.numel():
            return output
        if not output.requires_grad:
            output.requires_grad_()
        see(name, output)
        return output.clone()  # what follows may write into it

    return _AffineLayers(watch)


class _AffineLayers(TorchFunctionMode):
    """Calls back with (input, weight, output) at every `torch.nn.functional.linear`.

    What the callback returns takes the output's place.
    """

    def __init__(self, watch: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        if func is not nn.functional.linear:
            return result
        named = dict(zip(("input", "weight"), args, strict=False)) | (kwargs or {})
        return self.watch(named["input"], named["weight"], result)
