"""Layers of an ONNX file: Gemm, MatMul, Conv, and the biases that are added behind them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coreprune.graph.ir import Affine, Convolution, Norm
from coreprune.shells.onnx_file.nodes import attribute
from coreprune.shells.onnx_file.parameters import Book
from coreprune.shells.onnx_file.view import Shape, View

if TYPE_CHECKING:
    from onnx import NodeProto


def gemm(node: "NodeProto", view: View, book: Book) -> Affine | None:
    """A matrix product with a bias, neither transposed nor scaled on the way in."""
    if attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1:
        return None
    bias = node.input[2] if len(node.input) > 2 else ""
    if bias and attribute(node, "beta", 1.0) != 1:
        return None
    return _affine(node, view, book, transposed=not attribute(node, "transB", 0), bias=bias)


def matmul(node: "NodeProto", view: View, book: Book) -> Affine | None:
    """A value times a matrix."""
    return _affine(node, view, book, transposed=True, bias="")


def _affine(
    node: "NodeProto", view: View, book: Book, *, transposed: bool, bias: str
) -> Affine | None:
    source, weight, output = node.input[0], node.input[1], node.output[0]
    known = view.fixed.get(weight)
    if known is None or known.tensor.ndim != 2 or not view.is_value(source):
        return None
    if not view.shapes[source] or not view.shapes.get(output):
        return None
    width = view.shapes[output][-1]
    if bias and not _is_bias(view, bias, axis=-1, width=width, rank=2, spread=True):
        return None
    matrix = book.matrix(weight, (output, 1), transposed=transposed)
    if matrix is None:
        return None
    shift = book.vector(bias, (output, 2), size=width, spread=True) if bias else None
    return Affine(name=node.name or matrix, input=source, output=output, weight=matrix, bias=shift)


def convolution(node: "NodeProto", view: View, book: Book) -> Convolution | None:
    """A convolution with a constant kernel."""
    source, weight, output = node.input[0], node.input[1], node.output[0]
    known = view.fixed.get(weight)
    if known is None or known.tensor.ndim < 3 or not view.is_value(source):
        return None
    if len(view.shapes[source]) != known.tensor.ndim or output not in view.shapes:
        return None
    bias = node.input[2] if len(node.input) > 2 else ""
    width = len(known.tensor)
    if bias and not _is_bias(view, bias, axis=0, width=width, rank=1):
        return None
    kernel = tuple(known.tensor.shape[2:])
    matrix = book.matrix(weight, (output, 1))
    if matrix is None:
        return None
    return Convolution(
        name=node.name or matrix,
        input=source,
        output=output,
        weight=matrix,
        bias=book.vector(bias, (output, 2), size=width) if bias else None,
        kernel=kernel,
        **moves_of_node(node, kernel, view.shapes[source][2:]),
        groups=attribute(node, "group", 1),
    )


def moves_of_node(node: "NodeProto", kernel: Shape, sizes: Shape) -> dict[str, Any]:
    """Stride, dilation and zeros around the input, as the graph language names them.

    Args:
        node: A convolution or a pool.
        kernel: The extent of its windows.
        sizes: Those of its input behind the channels.

    Returns:
        By the names `stride`, `dilation` and `padding`, of which each axis has two numbers.
    """
    ones = [1] * len(kernel)
    stride = tuple(attribute(node, "strides", ones))
    dilation = tuple(attribute(node, "dilations", ones))
    given = attribute(node, "pads", [0] * 2 * len(kernel))
    padding = tuple(zip(given[: len(kernel)], given[len(kernel) :], strict=True))
    mode = attribute(node, "auto_pad", "NOTSET")
    if mode == "VALID":
        padding = ((0, 0),) * len(kernel)
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        each = zip(sizes, stride, kernel, dilation, strict=True)
        totals = [max((-(-s // st) - 1) * st + d * (k - 1) + 1 - s, 0) for s, st, k, d in each]
        padding = tuple((total // 2, total - total // 2) for total in totals)
        if mode == "SAME_LOWER":
            padding = tuple((after, before) for before, after in padding)
    return {"stride": stride, "dilation": dilation, "padding": padding}


def normalisation(node: "NodeProto", view: View, book: Book) -> Norm | None:
    """A batch normalisation with frozen statistics."""
    source, *others = node.input
    output = node.output[0]
    if attribute(node, "training_mode", 0) or sum(map(bool, node.output)) > 1:
        return None
    if not view.is_value(source) or len(view.shapes[source]) < 2 or output not in view.shapes:
        return None
    width = view.shapes[source][1]
    if not all(_is_bias(view, name, axis=0, width=width, rank=1) for name in others):
        return None
    names = [
        book.vector(name, (output, place), size=width) for place, name in enumerate(others, start=1)
    ]
    weight, bias, mean, variance = names
    if mean is None or variance is None:
        return None
    return Norm(
        name=node.name or mean,
        input=source,
        output=output,
        mean=mean,
        variance=variance,
        weight=weight,
        bias=bias,
        eps=attribute(node, "epsilon", 1e-5),
    )


def with_bias(
    layer: Affine | Convolution, node: "NodeProto", view: View, *, book: Book
) -> Affine | Convolution | None:
    """A layer with the constant that a node adds behind it as its bias.

    Args:
        layer: What the layer is so far.
        node: An Add that reads it.
        view: The file.
        book: The parameters.

    Returns:
        The layer, or None where the node adds something else, or others see the sum before.
    """
    if layer.bias is not None or len(view.readers[layer.output]) != 1:
        return None
    place = 1 if node.input[0] == layer.output else 0
    shape = view.shapes[layer.output]
    axis = len(shape) - 1 if isinstance(layer, Affine) else 1
    value, output = node.input[place], node.output[0]
    if layer.output in view.leaving or view.shapes.get(output) != shape or shape[axis] < 2:
        return None
    if not _is_bias(view, value, axis=axis - len(shape), width=shape[axis], rank=len(shape)):
        return None
    bias = book.vector(value, (output, place), size=shape[axis])
    return None if bias is None else replace(layer, output=output, bias=bias)


def _is_bias(
    view: View, name: str, *, axis: int, width: int, rank: int, spread: bool = False
) -> bool:
    """Whether a constant has one entry for each position of an axis, and only one along others.

    Args:
        view: The file.
        name: The constant.
        axis: Counted from the back for values that may have more axes than the constant.
        width: The positions.
        rank: The most axes that it may have.
        spread: Whether one entry for all will do.
    """
    known = view.fixed.get(name)
    if known is None or not known.tensor.is_floating_point():
        return False
    shape = tuple(known.tensor.shape)
    if len(shape) > rank or known.tensor.numel() not in ({1, width} if spread else {width}):
        return False
    if known.tensor.numel() == 1:
        return width == 1 or spread
    return -len(shape) <= axis < len(shape) and shape[axis] == width


def is_of_neurons(view: View, name: str, *, value: str, axis: int) -> bool:
    """Whether a constant has one entry for each position of an axis of a value."""
    shape = view.shapes[value]
    return (
        len(shape) > axis
        and shape[axis] > 1
        and _is_bias(view, name, axis=axis - len(shape), width=shape[axis], rank=len(shape))
    )
