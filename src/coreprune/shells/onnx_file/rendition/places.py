"""What goes by the places behind the channels: pools, resizes, pads, and reductions."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.shells.onnx_file.linear import moves_of_node
from coreprune.shells.onnx_file.rendition.given import Given
from coreprune.shells.onnx_file.rendition.layers import around

_LARGEST: tuple[Callable[..., Tensor], ...] = (
    functional.max_pool1d,
    functional.max_pool2d,
    functional.max_pool3d,
)
_MEAN: tuple[Callable[..., Tensor], ...] = (
    functional.avg_pool1d,
    functional.avg_pool2d,
    functional.avg_pool3d,
)


def _max_pool(given: Given) -> Tensor:
    kernel = given.attribute("kernel_shape")
    moves = moves_of_node(given.node, tuple(kernel), tuple(given.x.shape[2:]))
    x, sides = given.x, moves["padding"]
    even = [before for before, _ in sides]
    if not _is_even(sides, kernel):
        x, even = functional.pad(x, around(sides), value=-torch.inf), [0] * len(sides)
    return _LARGEST[len(kernel) - 1](
        x,
        kernel,
        stride=moves["stride"],
        padding=even,
        dilation=moves["dilation"],
        ceil_mode=bool(given.attribute("ceil_mode", 0)),
    )


def _average_pool(given: Given) -> Tensor:
    """A mean over windows.

    Raises:
        NotImplementedError: When they have gaps.
    """
    kernel = given.attribute("kernel_shape")
    moves = moves_of_node(given.node, tuple(kernel), tuple(given.x.shape[2:]))
    if any(gap != 1 for gap in moves["dilation"]):
        raise NotImplementedError("AveragePool with dilations")
    sides, counts = moves["padding"], bool(given.attribute("count_include_pad", 0))
    mean = functools.partial(
        _MEAN[len(kernel) - 1],
        kernel_size=kernel,
        stride=moves["stride"],
        ceil_mode=bool(given.attribute("ceil_mode", 0)),
    )
    if _is_even(sides, kernel):
        even = [before for before, _ in sides]
        return mean(given.x, padding=even, count_include_pad=counts)
    padded = mean(functional.pad(given.x, around(sides)))
    return (
        padded if counts else padded / mean(functional.pad(torch.ones_like(given.x), around(sides)))
    )


def _is_even(sides: Any, kernel: Any) -> bool:  # noqa: ANN401
    """Whether torch's own padding does: as much on both sides, and no more than half a window."""
    pairs = zip(sides, kernel, strict=True)
    return all(before == after <= size // 2 for (before, after), size in pairs)


def _everywhere(function: Callable[..., Tensor]) -> Callable[[Given], Tensor]:
    return lambda given: function(given.x, tuple(range(2, given.x.ndim)), keepdim=True)


_MODES: Mapping[tuple[str, str, str], Mapping[str, Any]] = {
    ("nearest", "asymmetric", "floor"): {"mode": "nearest"},
    ("nearest", "half_pixel", "round_prefer_floor"): {"mode": "nearest-exact"},
    ("linear", "half_pixel", ""): {"mode": "linear", "align_corners": False},
    ("linear", "pytorch_half_pixel", ""): {"mode": "linear", "align_corners": False},
    ("linear", "align_corners", ""): {"mode": "linear", "align_corners": True},
}
"""Torch's words for how values are found between places: by mode, coordinates and rounding."""
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _resize(given: Given) -> Tensor:
    """A resize of the places.

    Raises:
        NotImplementedError: When torch has none such.
    """
    mode = given.attribute("mode", "nearest")
    rounded = given.attribute("nearest_mode", "round_prefer_floor") if mode == "nearest" else ""
    way = given.attribute("coordinate_transformation_mode", "half_pixel")
    words = _MODES.get((mode, way, rounded))
    if words is None or given.attribute("axes") is not None or given.attribute("antialias", 0):
        raise NotImplementedError(f"Resize by {mode}, {way}")
    sizes, scales = given.integers(3), given.optional(2)
    if sizes is None and scales is not None:
        pairs = zip(given.x.shape, scales.tolist(), strict=True)
        sizes = [int(size * scale) for size, scale in pairs]
    if sizes is None or tuple(sizes[:2]) != given.x.shape[:2]:
        raise NotImplementedError("Resize of other axes than those behind the channels")
    told = {**words, "mode": _LINEAR.get(len(sizes) - 2, "") if mode == "linear" else words["mode"]}
    return functional.interpolate(given.x, size=sizes[2:], **told)


_BORDERS = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def _pad(given: Given) -> Tensor:
    mode, amounts = given.attribute("mode", "constant"), given.integers(1, "pads") or []
    axes = given.integers(3)
    axes = list(range(given.x.ndim)) if axes is None else [axis % given.x.ndim for axis in axes]
    sides = [(0, 0)] * given.x.ndim
    for axis, *both in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        sides[axis] = (both[0], both[1])
    if mode == "constant":
        return functional.pad(given.x, around(sides), value=given.number(2) or 0)
    if any(map(any, sides[:2])):
        raise NotImplementedError(f"Pad by {mode} of other axes than those behind the channels")
    return functional.pad(given.x, around(sides[2:]), mode=_BORDERS[mode])


def _reduced(function: Callable[..., Tensor]) -> Callable[[Given], Tensor]:
    def rendered(given: Given) -> Tensor:
        axes = given.integers(1, "axes")
        if not axes:
            if given.attribute("noop_with_empty_axes", 0):
                return given.x
            axes = list(range(given.x.ndim))
        return function(given.x, tuple(axes), keepdim=bool(given.attribute("keepdims", 1)))

    return rendered


def _product(x: Tensor, axes: tuple[int, ...], *, keepdim: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def _squares(x: Tensor, axes: tuple[int, ...], *, keepdim: bool) -> Tensor:
    return x.square().sum(axes, keepdim=keepdim)


def _norm(order: int) -> Callable[..., Tensor]:
    return lambda x, axes, *, keepdim: torch.linalg.vector_norm(x, order, axes, keepdim=keepdim)


def _extreme(function: Callable[..., Tensor]) -> Callable[[Given], Tensor]:
    return lambda given: function(
        given.x, dim=given.axis(0), keepdim=bool(given.attribute("keepdims", 1))
    )


def _top(given: Given) -> tuple[Tensor, Tensor]:
    (count,) = given.integers(1) or [0]
    largest = bool(given.attribute("largest", 1))
    found = torch.topk(given.x, count, given.axis(-1), largest)
    return found.values, found.indices


def _cumulated(given: Given) -> Tensor:
    """Sums along an axis.

    Raises:
        NotImplementedError: When they go backwards or leave the entry itself out.
    """
    if given.attribute("exclusive", 0) or given.attribute("reverse", 0):
        raise NotImplementedError("CumSum that is exclusive or reversed")
    return given.x.cumsum(int(given.tensor(1)))


PLACES: Mapping[str, Callable[[Given], Any]] = {
    "ArgMax": _extreme(torch.argmax),
    "ArgMin": _extreme(torch.argmin),
    "AveragePool": _average_pool,
    "CumSum": _cumulated,
    "GlobalAveragePool": _everywhere(torch.mean),
    "GlobalMaxPool": _everywhere(torch.amax),
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceL1": _reduced(_norm(1)),
    "ReduceL2": _reduced(_norm(2)),
    "ReduceLogSumExp": _reduced(torch.logsumexp),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceProd": _reduced(_product),
    "ReduceSum": _reduced(torch.sum),
    "ReduceSumSquare": _reduced(_squares),
    "Resize": _resize,
    "TopK": _top,
}
