"""Layers: matrix products, convolutions and normalisations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.shells.onnx_file.linear import moves_of_node
from coreprune.shells.onnx_file.rendition.given import Given

CONVOLVE: tuple[Callable[..., Tensor], ...] = (
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
)
TRANSPOSED: tuple[Callable[..., Tensor], ...] = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)
"""By the number of axes behind the channels, less one."""
OF_CHANNELS = 21
"""Since this version a group normalisation has a scale for each channel, before for each group."""


def _gemm(given: Given) -> Tensor:
    alpha, beta = given.attribute("alpha", 1.0), given.attribute("beta", 1.0)
    a = given.x.mT if given.attribute("transA", 0) else given.x
    b = given.tensor(1) if given.attribute("transB", 0) else given.tensor(1).mT
    added = given.optional(2)
    if alpha == 1 and beta == 1 and (added is None or added.ndim == 1):
        return functional.linear(a, b, None if added is None else added.expand(len(b)))
    product: Tensor = alpha * functional.linear(a, b)
    return product if added is None else product + beta * added


def _convolution(given: Given) -> Tensor:
    weight = given.tensor(1)
    moves = moves_of_node(given.node, tuple(weight.shape[2:]), tuple(given.x.shape[2:]))
    sides = moves["padding"]
    x, even = given.x, [before for before, _ in sides]
    if any(before != after for before, after in sides):
        x, even = functional.pad(x, around(sides)), [0] * len(sides)
    return CONVOLVE[len(even) - 1](
        x,
        weight,
        given.optional(2),
        stride=moves["stride"],
        padding=even,
        dilation=moves["dilation"],
        groups=given.attribute("group", 1),
    )


def _transposed(given: Given) -> Tensor:
    """A transposed convolution, all of it and then without its margins.

    Raises:
        NotImplementedError: When margins are not written out.
    """
    mode = given.attribute("auto_pad", "NOTSET")
    if given.attribute("output_shape") is not None or mode not in {"NOTSET", "VALID"}:
        raise NotImplementedError("ConvTranspose whose padding follows from a size")
    weight = given.tensor(1)
    axes = weight.ndim - 2
    pads = given.attribute("pads", [0] * 2 * axes)
    whole = TRANSPOSED[axes - 1](
        given.x,
        weight,
        given.optional(2),
        stride=given.attribute("strides", [1] * axes),
        output_padding=given.attribute("output_padding", [0] * axes),
        groups=given.attribute("group", 1),
        dilation=given.attribute("dilations", [1] * axes),
    )
    if mode == "VALID" or not any(pads):
        return whole
    return functional.pad(
        whole, around([(-b, -a) for b, a in zip(pads[:axes], pads[axes:], strict=True)])
    )


def around(sides: Sequence[tuple[int, int]]) -> list[int]:
    """What to add before and after each of the last axes, as torch takes it: the last one first."""
    return [amount for side in reversed(sides) for amount in side]


def _batch_norm(given: Given) -> Tensor:
    """A batch normalisation by what it remembers.

    Raises:
        NotImplementedError: When it takes the statistics of the batch.
    """
    if given.attribute("training_mode", 0):
        raise NotImplementedError("BatchNormalization in training mode")
    x, scale, shift, mean, variance = (given.tensor(place) for place in range(5))
    return functional.batch_norm(
        x, mean, variance, scale, shift, training=False, eps=given.attribute("epsilon", 1e-5)
    )


def _layer_norm(given: Given) -> Tensor:
    shape = given.x.shape[given.axis(-1) :]
    return functional.layer_norm(
        given.x,
        shape,
        given.tensor(1).expand(shape),
        None if (shift := given.optional(2)) is None else shift.expand(shape),
        given.attribute("epsilon", 1e-5),
    )


def _instance_norm(given: Given) -> Tensor:
    scale, shift = given.tensor(1), given.tensor(2)
    eps = given.attribute("epsilon", 1e-5)
    return functional.instance_norm(given.x, weight=scale, bias=shift, eps=eps)


def _group_norm(given: Given) -> Tensor:
    groups, scale, shift = given.attribute("num_groups"), given.tensor(1), given.tensor(2)
    if given.opset < OF_CHANNELS:
        each = given.x.shape[1] // groups
        scale, shift = scale.repeat_interleave(each), shift.repeat_interleave(each)
    return functional.group_norm(given.x, groups, scale, shift, given.attribute("epsilon", 1e-5))


def _along(function: Callable[..., Tensor]) -> Callable[[Given], Tensor]:
    """Softmax and its like: older versions take all axes from one on as a single one."""

    def rendered(given: Given) -> Tensor:
        if given.opset < 13:
            flat = given.x.flatten(given.axis(1))
            return function(flat, dim=-1).view_as(given.x)
        return function(given.x, dim=given.axis(-1))

    return rendered


LAYERS: Mapping[str, Callable[[Given], Any]] = {
    "BatchNormalization": _batch_norm,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Einsum": lambda given: torch.einsum(given.attribute("equation"), *given.tensors),
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _along(torch.log_softmax),
    "MatMul": lambda given: torch.matmul(given.x, given.tensor(1)),
    "Softmax": _along(torch.softmax),
}
