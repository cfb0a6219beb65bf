"""Every operator's rendition gives what ONNX Runtime gives."""

import numpy as np
import onnx
import pytest
import torch
from shells.onnx_file.graphs import model, node, numbers, whole

from coreprune.shells.onnx_file.document import from_model
from coreprune.shells.onnx_file.rendition.rendering import OPERATORS, rendition_of
from coreprune.shells.onnx_file.session import start, tensor_of

IMAGE, ROW = (2, 4, 7, 6), (3, 5)
SCALE, SHIFT = numbers(4), numbers(4, seed=1)


def document(*args, **options):
    """A model whose outputs may have any shapes."""
    return from_model(model(*args, **options))


def case(operator, shape=ROW, inputs="x", *, opset=17, tensors=None, outputs="y", **attributes):
    """A model of one node."""
    return document(
        [node(operator, inputs, outputs, **attributes)],
        {"x": shape},
        dict.fromkeys(outputs.split()),
        tensors,
        opset=opset,
    )


def scalar(value):
    return np.array(value, dtype=np.float32)


SMOOTH = (
    "Abs", "Atan", "Celu", "Cos", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "LogSoftmax", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sin",
    "Softmax", "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
)  # fmt: skip
CASES = {
    **{name: case(name, opset=18) for name in SMOOTH},
    **{
        f"{name} of two": case(name, inputs="x w", tensors={"w": numbers(5)})
        for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")
    },
    "Gelu": case("Gelu", opset=20),
    "Gelu by tanh": case("Gelu", opset=20, approximate="tanh"),
    "Celu by 2": case("Celu", alpha=2.0),
    "Elu by 0.3": case("Elu", alpha=0.3),
    "HardSigmoid by attributes": case("HardSigmoid", alpha=0.4, beta=0.1),
    "LeakyRelu by 0.2": case("LeakyRelu", alpha=0.2),
    "Selu by attributes": case("Selu", alpha=1.1, gamma=0.7),
    "PRelu": case("PRelu", IMAGE, "x w", tensors={"w": numbers(4, 1, 1)}),
    "Pow": case("Pow", inputs="x w", tensors={"w": scalar(2.0)}),
    "Sqrt": document(
        [node("Abs", "x", "a"), node("Sqrt", "a", "b"), node("Log", "b", "y")],
        {"x": ROW},
        {"y": None},
    ),
    "Clip": case("Clip", inputs="x l h", tensors={"l": scalar(-0.5), "h": scalar(0.7)}),
    "Clip from above": document(
        [onnx.helper.make_node("Clip", ["x", "", "h"], ["y"])], {"x": ROW}, {"y": None},
        {"h": scalar(0.7)},
    ),
    "Dropout": case("Dropout"),
    "Softmax before 13": case("Softmax", IMAGE, opset=12, axis=1),
    "Softmax before 13 by default": case("Softmax", IMAGE, opset=12),
    "Softmax of channels": case("Softmax", IMAGE, axis=1),
    "LogSoftmax before 13": case("LogSoftmax", IMAGE, opset=11, axis=2),
    "Where": document(
        [node("Greater", "x w", "c"), node("Where", "c x w", "y")],
        {"x": ROW},
        {"y": None},
        {"w": numbers(5)},
    ),
    "Cast and CastLike": document(
        [node("Cast", "x", "d", to=11), node("CastLike", "d x", "y")], {"x": ROW}, {"y": None}
    ),
    "Conv": case("Conv", IMAGE, "x w b", tensors={"w": numbers(6, 4, 3, 3), "b": numbers(6)}),
    "Conv in groups": case("Conv", IMAGE, "x w", tensors={"w": numbers(6, 2, 3, 2)}, group=2,
        strides=[2, 1], dilations=[1, 2], pads=[1, 1, 1, 1]),
    "Conv with uneven pads": case("Conv", IMAGE, "x w", tensors={"w": numbers(6, 4, 3, 3)},
        pads=[0, 2, 1, 0]),
    "Conv with more above": case("Conv", IMAGE, "x w", tensors={"w": numbers(6, 4, 4, 4)},
        auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv with more below": case("Conv", IMAGE, "x w", tensors={"w": numbers(6, 4, 4, 4)},
        auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv of signals": case("Conv", (2, 4, 9), "x w", tensors={"w": numbers(6, 4, 3)}),
    "Conv of volumes": case("Conv", (1, 2, 4, 4, 4), "x w", tensors={"w": numbers(3, 2, 2, 2, 2)}),
    "ConvTranspose": case("ConvTranspose", IMAGE, "x w b",
        tensors={"w": numbers(4, 3, 3, 3), "b": numbers(6)}, group=2, strides=[2, 2],
        pads=[1, 0, 1, 2], output_padding=[1, 0]),
    "Gemm": case("Gemm", inputs="x w b", tensors={"w": numbers(4, 5), "b": numbers(4)}, transB=1),
    "Gemm with one bias": case("Gemm", inputs="x w b",
        tensors={"w": numbers(4, 5), "b": numbers(1)}, transB=1),
    "Gemm scaled": case("Gemm", inputs="x w b", tensors={"w": numbers(3, 4), "b": numbers(5, 1)},
        transA=1, alpha=0.5, beta=2.0),
    "MatMul": case("MatMul", (2, 3, 5), "x w", tensors={"w": numbers(5, 4)}),
    "Einsum": case("Einsum", (2, 3, 5), "x w", tensors={"w": numbers(5, 4)},
        equation="bij,jk->bik"),
    "BatchNormalization": case("BatchNormalization", IMAGE, "x s b m v", epsilon=0.1,
        tensors={"s": SCALE, "b": SHIFT, "m": numbers(4, seed=2), "v": numbers(4, seed=3) ** 2}),
    "LayerNormalization": case("LayerNormalization", IMAGE, "x s b", axis=2, epsilon=0.1,
        tensors={"s": numbers(7, 6), "b": numbers(7, 6, seed=1)}),
    "LayerNormalization without a shift": case("LayerNormalization", ROW, "x s",
        tensors={"s": numbers(5)}),
    "InstanceNormalization": case("InstanceNormalization", IMAGE, "x s b", epsilon=0.1,
        tensors={"s": SCALE, "b": SHIFT}),
    "GroupNormalization": case("GroupNormalization", IMAGE, "x s b", opset=21, num_groups=2,
        tensors={"s": SCALE, "b": SHIFT}),
    "MaxPool": case("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 1, 1, 1]),
    "MaxPool with uneven pads": case("MaxPool", IMAGE, kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
    "MaxPool rounded up": case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool with gaps": case("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 2]),
    "AveragePool": case("AveragePool", IMAGE, kernel_shape=[3, 2], pads=[1, 1, 1, 1]),
    "AveragePool over borders": case("AveragePool", IMAGE, kernel_shape=[3, 3],
        pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool with uneven pads": case("AveragePool", IMAGE, kernel_shape=[3, 3],
        pads=[0, 1, 1, 0]),
    "AveragePool with more below": case("AveragePool", IMAGE, kernel_shape=[3, 3],
        auto_pad="SAME_UPPER", strides=[2, 2]),
    "GlobalAveragePool": case("GlobalAveragePool", IMAGE),
    "GlobalMaxPool": case("GlobalMaxPool", IMAGE),
    "Resize to the nearest": case("Resize", IMAGE, "x r s", mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        tensors={"r": numbers(0), "s": np.array([1, 1, 2, 2], dtype=np.float32)}),
    "Resize between": case("Resize", IMAGE, "x r s", mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
        tensors={"r": numbers(0), "s": np.array([1, 1, 2, 3], dtype=np.float32)}),
    "Resize between corners": document(
        [onnx.helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear",
            coordinate_transformation_mode="align_corners")],
        {"x": IMAGE}, {"y": None}, {"s": whole(2, 4, 9, 5)},
    ),
    "Resize to the nearest middle": document(
        [onnx.helper.make_node("Resize", ["x", "", "", "s"], ["y"])],
        {"x": IMAGE}, {"y": None}, {"s": whole(2, 4, 14, 18)},
    ),
    "Pad": case("Pad", IMAGE, "x p v", tensors={"p": whole(0, 1, 2, 0, 0, 0, 0, 3),
        "v": scalar(0.5)}),
    "Pad of some axes": case("Pad", IMAGE, "x p v a", opset=18, tensors={"p": whole(1, 2, 0, 1),
        "v": scalar(0.0), "a": whole(-1, 1)}),
    "Pad by reflection": case("Pad", IMAGE, "x p", mode="reflect",
        tensors={"p": whole(0, 0, 2, 1, 0, 0, 1, 2)}),
    "Pad by edges": case("Pad", IMAGE, "x p", mode="edge",
        tensors={"p": whole(0, 0, 0, 1, 0, 0, 0, 2)}),
    **{
        name: case(name, IMAGE, opset=11, axes=[1, -1], keepdims=0)
        for name in ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
            "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")
    },
    "ReduceSum by an input": case("ReduceSum", IMAGE, "x a", opset=13, tensors={"a": whole(1, 3)}),
    "ReduceMean by an input": case("ReduceMean", IMAGE, "x a", opset=18, keepdims=0,
        tensors={"a": whole(1, 3)}),
    "ReduceMax of all": case("ReduceMax", IMAGE),
    "TopK": document([node("TopK", "x k", "y i")], {"x": ROW}, {"y": None}, {"k": whole(2)}),
    "ArgMax": document(
        [node("ArgMax", "x", "i", axis=1, keepdims=0), node("Cast", "i", "y", to=1)],
        {"x": IMAGE}, {"y": None},
    ),
    "CumSum": case("CumSum", ROW, "x a", tensors={"a": np.array(1)}),
    "Reshape": case("Reshape", IMAGE, "x s", tensors={"s": whole(0, -1, 6)}),
    "Flatten": case("Flatten", IMAGE, axis=2),
    "Transpose": case("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "Transpose backwards": case("Transpose", IMAGE),
    "Squeeze before 13": case("Squeeze", (3, 1, 5, 1), opset=11, axes=[1, -1]),
    "Squeeze": case("Squeeze", (3, 1, 5, 1), "x a", tensors={"a": whole(3)}),
    "Unsqueeze before 13": case("Unsqueeze", ROW, opset=11, axes=[0, 3]),
    "Unsqueeze": case("Unsqueeze", ROW, "x a", tensors={"a": whole(-1, 1)}),
    "Gather": case("Gather", IMAGE, "x i", axis=1, tensors={"i": np.array([[0, -1], [2, 2]])}),
    "Gather one": case("Gather", IMAGE, "x i", axis=2, tensors={"i": np.array(-2)}),
    "GatherElements": case("GatherElements", ROW, "x i", axis=1, tensors={
        "i": np.array([[0, -1], [2, 2]])}),
    "Slice": case("Slice", IMAGE, "x s e a t", tensors={"s": whole(1, -1), "e": whole(99, -99),
        "a": whole(1, -1), "t": whole(2, -2)}),
    "Slice of the first axes": case("Slice", IMAGE, "x s e", tensors={"s": whole(0, 1),
        "e": whole(1, -1)}),
    "Concat": case("Concat", ROW, "x w x", axis=-1, tensors={"w": numbers(3, 2)}),
    "Split before 13": case("Split", ROW, outputs="y z", opset=11, axis=1, split=[2, 3]),
    "Split": case("Split", ROW, "x s", outputs="y z", axis=1, tensors={"s": whole(1, 4)}),
    "Split evenly": case("Split", IMAGE, outputs="y z", axis=1),
    "Split unevenly": case("Split", ROW, outputs="y z", opset=18, axis=1, num_outputs=2),
    "Expand": case("Expand", (3, 1), "x s", tensors={"s": whole(2, 1, 4)}),
    "Expand the last": case("Expand", (2, 3, 1), "x s", tensors={"s": whole(4)}),
    "Tile": case("Tile", ROW, "x s", tensors={"s": whole(2, 3)}),
    "Trilu": case("Trilu", ROW, upper=0),
    "OneHot": document(
        [node("ArgMax", "x", "i", axis=1, keepdims=0), node("OneHot", "i d v", "o", axis=0),
            node("MatMul", "o x", "y")],
        {"x": (3, 3)}, {"y": None}, {"d": np.array(3), "v": np.array([0.5, 2], np.float32)},
    ),
    "DepthToSpace": case("DepthToSpace", (1, 8, 3, 2), blocksize=2),
    "DepthToSpace by columns": case("DepthToSpace", (1, 8, 3, 2), blocksize=2, mode="CRD"),
    "SpaceToDepth": case("SpaceToDepth", (1, 3, 4, 6), blocksize=2),
    "sizes": document(
        [
            node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n axes", "n1"), node("Concat", "n1 minus", "t", axis=0),
            node("Reshape", "x t", "flat"), node("Size", "x", "q"), node("Div", "q n", "each"),
            node("Range", "zero each one", "places"), node("Equal", "places one", "here"),
            node("Constant", "", "four", value_float=4.0),
            node("Shape", "flat", "s1"),
            node("ConstantOfShape", "s1", "full", value=onnx.numpy_helper.from_array(
                np.array([2.0], np.float32))),
            node("Where", "here four full", "w"), node("Mul", "flat w", "y"),
        ],
        {"x": IMAGE}, {"y": None},
        {"zero": np.array(0), "one": np.array(1), "axes": whole(0), "minus": whole(-1)},
    ),
}  # fmt: skip


def given(made):
    """Inputs of a model."""
    shape = [axis.dim_value for axis in made.model.graph.input[0].type.tensor_type.shape.dim]
    return {"x": numbers(*shape, seed=9)}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(name):
    made = CASES[name]
    arrays = given(made)
    right = {key: tensor_of(value) for key, value in start(made).run(arrays).items()}
    inputs = {key: torch.from_numpy(value) for key, value in arrays.items()}
    rendition = rendition_of(made, inputs, right)
    assert not isinstance(rendition, str), rendition
    obtained = rendition.run(inputs)
    assert list(obtained) == list(right)
    for key, value in right.items():
        torch.testing.assert_close(obtained[key], value, rtol=1e-4, atol=1e-5)


def test_all_that_is_known_is_tried():
    tried = {one.op_type for made in CASES.values() for one in made.model.graph.node}
    related = {  # the same function of torch's but for its name
        "Acos", "And", "ArgMin", "Asin", "Ceil", "Cosh", "Floor", "GreaterOrEqual", "IsInf",
        "IsNaN", "Less", "LessOrEqual", "Mod", "NonZero", "Not", "Or", "Round", "Sign", "Sinh",
        "Swish", "Tan", "Xor",
    }  # fmt: skip
    assert OPERATORS.keys() - tried == related
