"""A block between the tensors as they are stored and the numbers that the core works on."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.feed_forward import FeedForward
from coreprune.core.subset import WeightedSubset
from coreprune.queries.normalised import Normalised
from coreprune.shells.hf_folder.activations import activation_named
from coreprune.shells.hf_folder.blocks import Block

Tensors = Mapping[str, Tensor]
"""Tensors as stored, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A layer's part of a stored tensor: all of it, or one half of fused rows.

    Attributes:
        weight: The weight's name.
        bias: The bias's, None without one.
        half: 0 or 1 for the first or second half of the rows, None for all.
    """

    weight: str
    bias: str | None
    half: int | None = None


def _incoming(block: Block) -> list[_Part]:
    """The layers that have a row a neuron: the gate, then what multiplies it."""
    if block.kind.fused:
        return [_Part(weight=block.gate, bias=block.gate_bias, half=half) for half in (0, 1)]
    parts = [_Part(weight=block.gate, bias=block.gate_bias)]
    if block.up is not None:
        parts.append(_Part(weight=block.up, bias=block.up_bias))
    return parts


def feed_forward(block: Block, tensors: Tensors) -> FeedForward:
    """A block's numbers in float64.

    Args:
        block: The block.
        tensors: Its tensors as stored, whole or cut.

    Returns:
        The block with rows for neurons, whatever the layout.
    """
    layers = [_rows_and_bias(block, part, tensors) for part in _incoming(block)]
    down = _turned(block, tensors[block.down]).double()
    gated = len(layers) > 1
    return FeedForward(
        points=layers[0][0],
        bias=layers[0][1],
        activation=activation_named(block.activation),
        weights=down,
        offset=None if block.down_bias is None else tensors[block.down_bias].double(),
        up=layers[1][0] if gated else None,
        up_bias=layers[1][1] if gated else None,
    )


def _rows_and_bias(block: Block, part: _Part, tensors: Tensors) -> tuple[Tensor, Tensor]:
    weight = _turned(block, tensors[part.weight])
    bias = None if part.bias is None else tensors[part.bias]
    if part.half is not None:
        weight = weight.chunk(2)[part.half]
        bias = None if bias is None else bias.chunk(2)[part.half]
    rows = weight.double()
    return rows, rows.new_zeros(len(rows)) if bias is None else bias.double()


def _turned(block: Block, weight: Tensor) -> Tensor:
    """A weight as (outputs, inputs), or back."""
    return weight.T if block.kind.transposed else weight


def law_of(block: Block, tensors: Tensors) -> Normalised:
    """What the norm before a block lets through."""
    kind = block.kind
    return Normalised(
        gain=tensors[block.norm].double() + kind.norm_offset,
        bias=None if block.norm_bias is None else tensors[block.norm_bias].double(),
        centred=kind.norm_kind == "layer_norm",
    )


def cut_tensors(block: Block, tensors: Tensors, subset: WeightedSubset) -> dict[str, Tensor]:
    """The stored tensors of a cut block, in the dtypes of the originals.

    Args:
        block: The block.
        tensors: Its tensors as stored.
        subset: The neurons kept, their new outgoing weights and the shift of the bias.

    Returns:
        Those tensors that the cut changes: rows kept are the same bits.
    """
    kept, result = subset.indices, {}
    rows = torch.cat([kept, kept + block.neurons]) if block.kind.fused else kept
    for part in _incoming(block):
        weight = _turned(block, tensors[part.weight]).index_select(0, rows)
        result[part.weight] = _turned(block, weight).contiguous()
        if part.bias is not None:
            result[part.bias] = tensors[part.bias].index_select(0, rows)
    down = tensors[block.down]
    result[block.down] = _turned(block, subset.weights.to(down.dtype)).contiguous()
    if block.down_bias is not None:
        offset = tensors[block.down_bias]
        result[block.down_bias] = (offset.double() + subset.bias_shift.double()).to(offset.dtype)
    return result


def shapes_after(
    block: Block, shapes: Mapping[str, tuple[int, ...]], neurons: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that a cut to so many neurons changes.

    Args:
        block: The block.
        shapes: Of its tensors before.
        neurons: m.

    Returns:
        By name.
    """
    rows = 2 * neurons if block.kind.fused else neurons
    d = block.kind.transposed
    found: dict[str, tuple[int, ...]] = {}
    for part in _incoming(block):
        other = shapes[part.weight][0 if d else 1]
        found[part.weight] = (other, rows) if d else (rows, other)
        if part.bias is not None:
            found[part.bias] = (rows,)
    other = shapes[block.down][1 if d else 0]
    found[block.down] = (neurons, other) if d else (other, neurons)
    return found
