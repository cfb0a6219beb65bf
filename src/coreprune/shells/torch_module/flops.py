"""How many floating-point operations a call takes."""

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from coreprune.shells.torch_module.calls import Call, run


def flops(model: nn.Module, call: Call) -> float:
    """The operations of matrix products, convolutions and attention, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        run(model, call)
    return float(counter.get_total_flops())
