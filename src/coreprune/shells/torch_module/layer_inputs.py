"""What reaches the affine layers of a module for given inputs."""

from collections.abc import Iterable, Mapping
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
        was not reached.
    """
    norms = dict.fromkeys(weights, 0.0)
    names = {tensor.data_ptr(): name for name, tensor in weights.items()}

    def watch(source: Tensor, weight: Tensor) -> None:
        name = names.get(weight.data_ptr())
        if name is not None and source.numel():
            largest = torch.linalg.vector_norm(source.float(), dim=-1).amax()
            norms[name] = max(norms[name], float(largest))

    with _AffineInputs(watch):
        for call in calls:
            run(model, call)
    return norms


class _AffineInputs(TorchFunctionMode):
    """Calls back with (input, weight) at every `torch.nn.functional.linear`."""

    def __init__(self, watch: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.watch = watch

    def __torch_function__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func is nn.functional.linear:
            self.watch(*args[:2])
        return func(*args, **(kwargs or {}))
