"""How many floating-point operations a call takes."""

from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.running import run


def flops(model: nn.Module, call: Call) -> float:
    """The operations of matrix products, convolutions and attention, as torch counts them."""
    with FlopCounterMode(display=False) as counter, _OneByOne():
        run(model, call)
    return float(counter.get_total_flops())


class _OneByOne(TorchFunctionMode):
    """Changes no function, but keeps modules off fused kernels, whose operations go uncounted."""

    def __torch_function__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        return func(*args, **(kwargs or {}))
