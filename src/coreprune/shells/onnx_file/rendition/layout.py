"""What moves, chooses or makes entries: shapes, slices, concatenations, constants."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.shells.onnx_file.constants import value_of_constant
from coreprune.shells.onnx_file.rendition.given import Given
from coreprune.shells.onnx_file.tensors import held_from_proto


def _reshape(given: Given) -> Tensor:
    sizes = given.integers(1) or []
    if not given.attribute("allowzero", 0):
        sizes = [given.x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return given.x.reshape(sizes)


def _flatten(given: Given) -> Tensor:
    axis = given.attribute("axis", 1)
    return given.x.reshape(math.prod(given.x.shape[:axis]), -1)


def _transpose(given: Given) -> Tensor:
    return given.x.permute(given.attribute("perm", list(reversed(range(given.x.ndim)))))


def _squeeze(given: Given) -> Tensor:
    axes = given.integers(1, "axes")
    return given.x.squeeze() if axes is None else given.x.squeeze(tuple(axes))


def _unsqueeze(given: Given) -> Tensor:
    x, axes = given.x, given.integers(1, "axes") or []
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _shape(given: Given) -> Tensor:
    sizes = list(given.x.shape)[given.attribute("start", 0) : given.attribute("end")]
    return torch.tensor(sizes, dtype=torch.int64)


def _gather(given: Given) -> Tensor:
    axis, places = given.axis(0), given.tensor(1).long()
    sizes = given.x.shape
    chosen = given.x.index_select(axis, places.flatten() % max(1, sizes[axis]))
    return chosen.reshape([*sizes[:axis], *places.shape, *sizes[axis + 1 :]])


def _gather_elements(given: Given) -> Tensor:
    axis = given.axis(0)
    return given.x.gather(axis, given.tensor(1).long() % given.x.shape[axis])


def _slice(given: Given) -> Tensor:
    x, starts, ends = given.x, given.integers(1) or [], given.integers(2) or []
    axes = given.integers(3) or list(range(len(starts)))
    steps = given.integers(4) or [1] * len(starts)
    for axis, *where in zip(axes, starts, ends, steps, strict=True):
        places = range(*slice(*where).indices(x.shape[axis]))
        if where[2] > 0:
            before = (slice(None),) * (axis % x.ndim)
            x = x[(*before, slice(places.start, max(places.start, places.stop), places.step))]
        else:
            x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return x


def _split(given: Given) -> tuple[Tensor, ...]:
    axis, sizes = given.axis(0), given.integers(1, "split")
    if sizes is None:
        length, parts = given.x.shape[axis], len(given.node.output)
        each = math.ceil(length / parts)  # the last part is the smallest
        sizes = [min(each, length - each * part) for part in range(parts)]
    return torch.split_with_sizes(given.x, sizes, axis)


def _expand(given: Given) -> Tensor:
    """A value repeated along new axes and along those of size 1."""
    sizes = given.integers(1) or []
    missing = given.x.ndim - len(sizes)
    own, wanted = [1] * -missing + list(given.x.shape), [1] * missing + sizes
    pairs = zip(own, wanted, strict=True)
    return given.x.expand([old if new == 1 else new for old, new in pairs])


def _constant(given: Given) -> Tensor:
    """A constant that a node holds.

    Raises:
        NotImplementedError: When it is no tensor that torch has.
    """
    found = value_of_constant(given.node)
    if found is None:
        raise NotImplementedError("Constant of a type that torch does not have")
    return found


def _constant_of_shape(given: Given) -> Tensor:
    told = given.attribute("value")
    held = None if told is None else held_from_proto(told, "")
    value = torch.zeros(1) if held is None else held.tensor()
    if value is None:
        raise NotImplementedError("ConstantOfShape of a type that torch does not have")
    return value.expand(given.integers(0) or [])


def _range(given: Given) -> Tensor:
    start, stop, step = (given.tensor(place).item() for place in range(3))
    return torch.arange(start, stop, step, dtype=given.x.dtype)


def _one_hot(given: Given) -> Tensor:
    (depth,) = given.integers(1) or [0]
    off, on = given.tensor(2)
    axis = int(given.attribute("axis", -1)) % (given.x.ndim + 1)
    hot = functional.one_hot(given.x.long() % depth, depth).movedim(-1, axis).bool()
    return torch.where(hot, on, off)


def _trilu(given: Given) -> Tensor:
    (diagonal,) = given.integers(1) or [0]
    return (torch.triu if given.attribute("upper", 1) else torch.tril)(given.x, diagonal)


def _depth_to_space(given: Given) -> Tensor:
    x, block = given.x, given.attribute("blocksize")
    if given.attribute("mode", "DCR") == "DCR":
        x = _swapped(x, block**2)
    return functional.pixel_shuffle(x, block)


def _space_to_depth(given: Given) -> Tensor:
    block, channels = given.attribute("blocksize"), given.x.shape[1]
    return _swapped(functional.pixel_unshuffle(given.x, block), channels)


def _swapped(x: Tensor, outer: int) -> Tensor:
    """Channels, numbered by two counters of which the outer has so many values, the other way."""
    batch, channels, *places = x.shape
    apart = x.reshape(batch, outer, channels // outer, *places)
    return apart.transpose(1, 2).flatten(1, 2)


LAYOUT: Mapping[str, Callable[[Given], Any]] = {
    "Concat": lambda given: torch.cat(given.tensors, given.attribute("axis")),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "NonZero": lambda given: given.x.nonzero().T,
    "OneHot": _one_hot,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda given: torch.tensor(given.x.numel()),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda given: given.x.tile(given.integers(1) or []),
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
