"""Devices and precision: Accelerate's, imported when training starts and not before."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from coreprune.errors import ArgumentError
from coreprune.shells.torch_module.modules import copied, nonfinite, unwrapped

if TYPE_CHECKING:
    from accelerate import Accelerator

HALF = (torch.float16, torch.bfloat16)


def accelerator_or_default(accelerator: "Accelerator | None") -> "Accelerator":
    """The caller's accelerator, or the one that Accelerate's own configuration asks for.

    Args:
        accelerator: What the caller passed.

    Returns:
        An accelerator of one process.

    Raises:
        ArgumentError: When Accelerate is not installed, or several processes train together.
    """
    try:
        from accelerate import Accelerator
    except ImportError as reason:
        raise ArgumentError(
            "repair and finetune need Accelerate, which is not installed; "
            'pip install "coreprune[train]"'
        ) from reason
    chosen = accelerator if accelerator is not None else Accelerator()
    if chosen.num_processes != 1:
        raise ArgumentError(
            f"accelerator must have one process, got {chosen.num_processes}; "
            "start the program without accelerate launch, or with --num_processes 1"
        )
    return chosen


def teacher_of(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy in evaluation mode on a device, without gradients, half-precision tensors as float32.

    Small steps of an optimiser vanish in half precision; Accelerate's mixed precision keeps the
    weights in float32 for the same reason.
    """
    clone = copied(unwrapped(model)).eval()
    for tensor in (*clone.parameters(), *clone.buffers()):
        tensor.requires_grad = False
        if tensor.dtype in HALF:
            tensor.data = tensor.data.float()
    return clone.to(device)


def student_of(model: nn.Module, device: torch.device) -> nn.Module:
    """As `teacher_of`, with gradients for the parameters that had them, or for all if none had.

    Evaluation mode freezes the statistics of batch normalisations and drops nothing out.

    Raises:
        ArgumentError: When there is nothing to train or the model's weights are not finite.
    """
    if strange := nonfinite(unwrapped(model)):
        raise ArgumentError(
            f"model has NaN or infinite entries in {', '.join(strange)}; restore a sound checkpoint"
        )
    wanted = [name for name, tensor in unwrapped(model).named_parameters() if tensor.requires_grad]
    student = teacher_of(model, device)
    for name, tensor in student.named_parameters():
        if tensor.is_floating_point():
            tensor.requires_grad = name in wanted or not wanted
    if not any(tensor.requires_grad for tensor in student.parameters()):
        raise ArgumentError("model must have floating-point parameters to train, got none")
    return student
