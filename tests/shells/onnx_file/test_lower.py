import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import (
    FLOAT,
    HALF,
    between,
    document,
    groups_of,
    helper,
    lowered,
    node,
    numbers,
    numpy_helper,
    reasons_of,
    whole,
)

from coreprune.graph.groups import passengers_of
from coreprune.graph.ir import Affine, Convolution, Elementwise, Norm, Opaque, Pool
from coreprune.graph.layer import layer_of
from coreprune.shells.onnx_file.session import outputs


def activation(made):
    """The name of the function between neurons and reader."""
    graph = lowered(made).graph
    (group,) = [one for one in groups_of(made).values() if one.name == "a"]
    return layer_of(group, group.consumers[0], graph.parameters).activation.name


def scalar(value, dtype=np.float32):
    return np.array(value, dtype=dtype)


SPELLED = {
    "relu": ([node("Relu", "h", "z")], {}, "relu"),
    "leaky relu": ([node("LeakyRelu", "h", "z", alpha=0.2)], {}, "leaky_relu"),
    "elu": ([node("Elu", "h", "z")], {}, "elu"),
    "selu": ([node("Selu", "h", "z")], {}, "selu"),
    "tanh": ([node("Tanh", "h", "z")], {}, "tanh"),
    "softplus": ([node("Softplus", "h", "z")], {}, "softplus"),
    "softsign": ([node("Softsign", "h", "z")], {}, "softsign"),
    "hardswish": ([node("HardSwish", "h", "z")], {}, "hardswish"),
    "mish": ([node("Mish", "h", "z")], {}, "mish"),
    "abs": ([node("Abs", "h", "z")], {}, "prelu"),
    "hard sigmoid of torch": (
        [node("HardSigmoid", "h", "z", alpha=1 / 6, beta=0.5)], {}, "hardsigmoid",
    ),
    "hard sigmoid of ONNX": ([node("HardSigmoid", "h", "z")], {}, "affine → hardtanh"),
    "relu6": ([node("Clip", "h zero six", "z")], {"zero": scalar(0), "six": scalar(6)}, "relu6"),
    "clip from below": ([node("Clip", "h zero", "z")], {"zero": scalar(0)}, "relu"),
    "celu": ([node("Celu", "h", "z", alpha=0.5)], {}, "celu"),
    "clip without limits": ([node("Clip", "h", "z")], {}, "identity"),
    "clip from below, not at 0": (
        [node("Clip", "h half", "z")], {"half": scalar(0.5)}, "affine → relu → affine",
    ),
    "max with a number": ([node("Max", "zero h", "z")], {"zero": scalar(0)}, "relu"),
    "min with a number": (
        [node("Min", "h one", "z")], {"one": scalar(1)}, "affine → relu → affine",
    ),
    "x sigmoid x": ([node("Sigmoid", "h", "s"), node("Mul", "s h", "z")], {}, "silu"),
    "x hardsigmoid x": (
        [node("HardSigmoid", "h", "s", alpha=1 / 6, beta=0.5), node("Mul", "h s", "z")],
        {}, "hardswish",
    ),
    "hardswish of Paddle": (
        [node("Add", "h three", "p"), node("Clip", "p zero six", "c"), node("Mul", "h c", "m"),
         node("Div", "m six", "z")],
        {"three": scalar([3]), "zero": scalar(0), "six": scalar(6)}, "hardswish",
    ),
    "gelu by erf": (
        [node("Div", "h root", "d"), node("Erf", "d", "e"), node("Add", "e one", "p"),
         node("Mul", "h p", "m"), node("Mul", "m half", "z")],
        {"root": scalar(2**0.5), "one": scalar(1), "half": scalar(0.5)}, "gelu",
    ),
    "half first": (
        [node("Mul", "h half", "m"), node("Div", "h root", "d"), node("Erf", "d", "e"),
         node("Add", "one e", "p"), node("Mul", "p m", "z")],
        {"root": scalar(2**0.5), "one": scalar(1), "half": scalar(0.5)}, "gelu",
    ),
    "gelu by tanh": (
        [node("Pow", "h cube", "c"), node("Mul", "c k", "k2"), node("Add", "h k2", "i"),
         node("Mul", "i r", "j"), node("Tanh", "j", "t"), node("Add", "t one", "p"),
         node("Mul", "h p", "m"), node("Mul", "m half", "z")],
        {"cube": scalar(3), "k": scalar(0.044715), "r": scalar((2 / np.pi) ** 0.5),
         "one": scalar(1), "half": scalar(0.5)}, "gelu_tanh",
    ),
    "swish without Sigmoid": (
        [node("Neg", "h", "n"), node("Exp", "n", "e"), node("Add", "e one", "p"),
         node("Div", "h p", "z")],
        {"one": scalar(1)}, "silu",
    ),
    "a step": ([node("Greater", "h zero", "g"), node("Cast", "g", "z", to=1)],
               {"zero": scalar(0)}, "affine → step"),
    "one number for all": ([node("Sub", "one h", "z")], {"one": scalar([[1]])}, "affine"),
    "dropout": ([node("Dropout", "h", "z")], {}, "identity"),
    "a cast and back": ([node("Cast", "h", "c", to=10), node("Cast", "c", "z", to=1)],
                        {}, "identity"),
    "slopes": ([node("PRelu", "h slopes", "z")], {"slopes": numbers(8)}, "prelu"),
    "one slope": ([node("PRelu", "h slopes", "z")], {"slopes": numbers(1)}, "prelu"),
    "factors": ([node("Mul", "h f", "z")], {"f": numbers(1, 8)}, "affine"),
    "divisors": ([node("Div", "h f", "z")], {"f": numbers(8) + 3}, "affine"),
    "terms subtracted from": ([node("Sub", "f h", "z")], {"f": numbers(8)}, "affine"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLED)
def test_functions_of_each_neuron_let_it_pass(name):
    nodes, tensors, wanted = SPELLED[name]
    opset = 18 if name == "mish" else 17
    made = between(*nodes, tensors=tensors, width=8, opset=opset)
    assert activation(made) == wanted


@pytest.mark.parametrize("name", SPELLED)
def test_the_graph_computes_what_the_file_computes(name):
    """Σ_j w_ij φ_j(p_j·x + b_j) + c_i, read off the graph alone."""
    nodes, tensors, _ = SPELLED[name]
    made = between(*nodes, tensors=tensors, width=8, opset=18 if name == "mish" else 17)
    graph = lowered(made).graph
    (group,) = groups_of(made).values()
    (reader,) = group.consumers
    layer = layer_of(group, reader, graph.parameters)
    x = 2 * numbers(40, 5)
    hidden = torch.from_numpy(x).double() @ layer.points.double().T + layer.bias.double()
    obtained = layer.activation(hidden) @ layer.weights.double().T
    obtained = obtained + graph.parameters[reader.affine.bias]
    tolerance = 2e-2 if name == "a cast and back" else 1e-4
    wanted = torch.from_numpy(outputs(made, {"x": x})["y"])
    torch.testing.assert_close(obtained.float(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("nodes", "tensors", "words"),
    [
        ([node("Softmax", "h", "z")], {}, "a softmax"),
        ([node("Exp", "h", "z")], {}, "the operator Exp"),
        ([node("Mul", "h h", "z")], {}, "the operator Mul"),
        ([node("Div", "one h", "z")], {"one": scalar(1)}, "the operator Div"),
        ([node("Add", "h big", "z")], {"big": numbers(1, 1, 8)}, "the operator Add"),
        ([node("ReduceSum", "h axis", "z")], {"axis": whole(1)}, "the operator ReduceSum"),
        ([node("LayerNormalization", "h s", "z")], {"s": numbers(8)}, "a layer normalisation"),
        ([node("Dropout", "h r on", "z")], {"r": scalar(0.5), "on": np.array(True)}, "Dropout"),
        ([node("ReduceMean", "h", "z", axes=[-1])], {}, "a mean acts on the axis"),
        ([node("Split", "h s", "z z2", axis=1)], {"s": whole(3, 5)}, "a split"),
        ([node("QuantizeLinear", "h s", "q"), node("DequantizeLinear", "q s", "z")],
         {"s": scalar(0.1)}, "a quantised operation (QuantizeLinear)"),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)  # fmt: skip
def test_what_is_not_known_blocks_with_a_reason(nodes, tensors, words):
    made = between(*nodes, tensors=tensors, width=8)
    assert "a" not in groups_of(made)
    assert words in reasons_of(made)["a"]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", ["", " b"])
def test_gemm_has_its_weight_the_way_round_that_the_language_has(transposed, bias):
    weight = numbers(8, 5) if transposed else numbers(8, 5).T
    made = document(
        [node("Gemm", f"x w{bias}", "y", transB=transposed)],
        {"x": (2, 5)},
        {"y": (2, 8)},
        {"w": np.ascontiguousarray(weight), "b": numbers(8)},
    )
    found = lowered(made)
    (layer,) = found.graph.nodes
    assert isinstance(layer, Affine)
    np.testing.assert_array_equal(found.graph.parameters["w"].numpy(), numbers(8, 5))
    assert layer.bias == ("b" if bias else None)
    assert found.stored["w"].transposed != bool(transposed)


@pytest.mark.parametrize("options", [{"alpha": 2.0}, {"transA": 1}, {"beta": 0.5}])
def test_gemm_in_other_forms_is_left_whole(options):
    made = document(
        [node("Gemm", "x w b", "y", **options)], {"x": (5, 5)}, {"y": (5, 8)},
        {"w": numbers(5, 8), "b": numbers(8)},
    )  # fmt: skip
    assert "a linear layer" in reasons_of(made)["Ny"]


@pytest.mark.parametrize("shape", [(8,), (1, 8), (1, 1, 8)])
@pytest.mark.parametrize("order", ["m b", "b m"])
def test_a_constant_behind_a_product_is_its_bias(shape, order):
    made = document(
        [node("MatMul", "x w", "m"), node("Add", order, "h"), node("Relu", "h", "r"),
         node("MatMul", "r v", "y")],
        {"x": (2, 3, 5)}, {"y": (2, 3, 4)},
        {"w": numbers(5, 8), "b": numbers(*shape), "v": numbers(8, 4)},
    )  # fmt: skip
    (group,) = groups_of(made).values()
    assert (group.producer.bias, group.producer.output) == ("b", "h")
    assert lowered(made).graph.parameters["b"].shape == (8,)
    assert group.is_plain


def test_a_product_that_others_read_keeps_its_sum_apart():
    made = document(
        [node("MatMul", "x w", "m"), node("Add", "m b", "h"), node("MatMul", "h v", "p"),
         node("MatMul", "m u", "q"), node("Add", "p q", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"w": numbers(5, 8), "b": numbers(8), "v": numbers(8, 4), "u": numbers(8, 4, seed=1)},
    )  # fmt: skip
    first = lowered(made).graph.nodes[0]
    assert first.bias is None
    assert [one.affine.name for one in groups_of(made)["Nm"].consumers] == ["Np", "Nq"]


def test_a_bias_of_one_entry_is_spread():
    made = document(
        [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"w": numbers(5, 8), "b": numbers(1), "v": numbers(8, 4)},
    )  # fmt: skip
    assert lowered(made).graph.parameters["b"].shape == (8,)
    assert list(groups_of(made)) == ["Nh"]


def test_vectors_that_exporters_store_once_are_one_for_each_layer():
    made = document(
        [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v b", "i"),
         node("Relu", "i", "s"), node("Gemm", "s u", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"w": numbers(5, 8), "b": numbers(8), "v": numbers(8, 8), "u": numbers(8, 4)},
    )  # fmt: skip
    assert list(groups_of(made)) == ["Nh", "Ni"]
    assert [one.producer.bias for one in groups_of(made).values()] == ["b", "b@i:2"]


def test_matrices_that_layers_share_are_left_whole():
    made = document(
        [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r w", "y")],
        {"x": (2, 8)}, {"y": (2, 8)}, {"w": numbers(8, 8)},
    )  # fmt: skip
    assert "shared by Nh and Ny" in reasons_of(made)["Nh"]


def test_a_matrix_that_is_read_both_ways_is_left_whole():
    made = document(
        [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("Transpose", "w", "t"),
         node("MatMul", "r t", "y")],
        {"x": (2, 5)}, {"y": (2, 5)}, {"w": numbers(5, 8)},
    )  # fmt: skip
    assert groups_of(made) == {}


def test_a_matrix_that_is_also_a_table_is_left_whole():
    nodes = [node("Gather", "w ids", "e"), node("MatMul", "e u", "h"), node("Transpose", "w", "t"),
             node("MatMul", "h t", "y")]  # fmt: skip
    made = document(
        nodes, {}, {"y": (3, 9)}, {"w": numbers(9, 5), "u": numbers(5, 5), "ids": whole(1, 2, 3)}
    )
    assert "w is also read by a look-up in a table" in reasons_of(made)["Nh"]


@pytest.mark.parametrize(
    "chain",
    [
        [node("Transpose", "s", "w", perm=[1, 0])],
        [node("Identity", "s", "i"), node("Transpose", "i", "w")],
        [node("Reshape", "s flat", "f"), node("Reshape", "f back", "t"),
         node("Transpose", "t", "w")],
        [node("Unsqueeze", "s axis", "u"), node("Squeeze", "u axis", "t"),
         node("Transpose", "t", "w")],
    ],
    ids=["transpose", "identity", "reshape", "squeeze"],
)  # fmt: skip
def test_constants_behind_changes_of_layout_are_weights(chain):
    tensors = {"s": numbers(8, 5), "flat": whole(-1), "back": whole(8, 0), "axis": whole(0),
               "v": numbers(8, 4)}  # fmt: skip
    if chain[0].op_type == "Reshape":
        tensors["back"] = whole(8, 5)
    made = document(
        [*chain, node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")],
        {"x": (2, 5)}, {"y": (2, 4)}, tensors,
    )  # fmt: skip
    (group,) = groups_of(made).values()
    assert group.producer.weight == "s"
    np.testing.assert_array_equal(lowered(made).graph.parameters["s"].numpy(), numbers(8, 5))


def test_weights_in_half_precision_behind_a_cast_are_weights():
    made = document(
        [node("Cast", "s", "w", to=FLOAT), node("MatMul", "x w", "h"), node("Relu", "h", "r"),
         node("MatMul", "r v", "y")],
        {"x": (2, 5)}, {"y": (2, 4)}, {"s": numbers(5, 8, dtype=np.float16), "v": numbers(8, 4)},
    )  # fmt: skip
    (group,) = groups_of(made).values()
    assert lowered(made).graph.parameters[group.producer.weight].dtype == torch.float16


@pytest.mark.parametrize("kind", [HALF, FLOAT])
def test_weights_in_nodes_are_weights(kind):
    dtype = np.float16 if kind == HALF else np.float32
    made = document(
        [node("Constant", "", "w", value=numpy_helper.from_array(numbers(5, 8, dtype=dtype))),
         node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")],
        {"x": (2, 5)}, {"y": (2, 4)}, {"v": numbers(8, 4, dtype=dtype)}, kind=kind,
    )  # fmt: skip
    assert [one.producer.weight for one in groups_of(made).values()] == ["w"]


def image(*middle, tensors=None, opset=17, size=9, channels=8, **options):
    """Convolutions a (3 to 8 channels) and b around nodes that read "h" and give "z"."""
    return document(
        [node("Conv", "x wa ba", "h", name="a", **options), *middle,
         node("Conv", "z wb", "y", name="b")],
        {"x": ("batch", 3, size, size)}, {"y": ("batch", 5, None, None)},
        {"wa": numbers(8, 3, 3, 3), "ba": numbers(8), "wb": numbers(5, channels, 1, 1),
         **(tensors or {})},
        opset=opset,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({}, ((0, 0), (0, 0))),
        ({"pads": [1, 2, 3, 4]}, ((1, 3), (2, 4))),
        ({"auto_pad": "VALID", "strides": [2, 2]}, ((0, 0), (0, 0))),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 1]}, ((1, 1), (1, 1))),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2], "size": 8}, ((0, 1), (0, 1))),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2], "size": 8}, ((1, 0), (1, 0))),
    ],
    ids=str,
)
def test_convolutions_move_as_the_file_says(options, padding):
    made = image(node("Relu", "h", "z"), **options)
    layer = lowered(made).graph.nodes[0]
    assert isinstance(layer, Convolution)
    assert layer.padding == padding
    assert layer.stride == tuple(options.get("strides", (1, 1)))
    (group,) = groups_of(made).values()
    assert group.neurons == 8


SPATIAL = {
    "max pool": [node("MaxPool", "h", "z", kernel_shape=[2, 2])],
    "average pool": [node("AveragePool", "h", "z", kernel_shape=[2, 2])],
    "global pool": [node("GlobalAveragePool", "h", "z")],
    "mean": [node("ReduceMean", "h", "z", axes=[2, 3])],
    "resize": [node("Resize", "h no scales", "z", mode="linear")],
    "pad": [node("Pad", "h pads", "z")],
    "slice": [node("Slice", "h one three two", "z")],
    "whole slice": [node("Slice", "h none many channel", "z")],
    "expand": [node("GlobalAveragePool", "h", "g"), node("Expand", "g sizes", "z")],
    "place": [node("Gather", "h index", "p", axis=3), node("Unsqueeze", "p three", "z")],
}
AMOUNTS = {
    "no": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32),
    "pads": whole(0, 0, 1, 1, 0, 0, 1, 1), "one": whole(1), "two": whole(2), "three": whole(3),
    "none": whole(0), "many": whole(2**31 - 1), "channel": whole(1), "sizes": whole(1, 8, 2, 2),
    "index": np.array(1, np.int64),
}  # fmt: skip


@pytest.mark.parametrize("name", SPATIAL)
def test_channels_pass_what_acts_on_places(name):
    made = image(*SPATIAL[name], tensors=AMOUNTS)
    (group,) = groups_of(made).values()
    pools = [one for one in group.consumers[0].passengers if isinstance(one, Pool)]
    assert len(pools) >= 1
    assert all(one.is_linear == (name != "max pool") for one in pools)


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ([node("Pad", "h pads value", "z")], "the operator Pad"),
        ([node("Resize", "h no scales", "z", mode="cubic")], "the operator Resize"),
        ([node("Slice", "h one three channel", "z")], "a slice acts on the axis"),
        ([node("ConvTranspose", "h wt", "z")], "a transposed convolution"),
        ([node("InstanceNormalization", "h f f", "z")], "an instance normalisation"),
    ],
    ids=["pad of ones", "cubic", "slice of channels", "transposed", "instance norm"],
)
def test_channels_do_not_pass_what_does_more(middle, words):
    extra = {**AMOUNTS, "value": scalar(1), "wt": numbers(8, 8, 2, 2), "f": numbers(8)}
    channels = 2 if middle[0].op_type == "Slice" else 8
    made = image(*middle, tensors=extra, channels=channels)
    assert words in reasons_of(made)["a"]


def test_batch_normalisations_ride():
    made = image(
        node("BatchNormalization", "h f f f v", "n", epsilon=0.01, name="norm"),
        node("Relu", "n", "z"),
        tensors={"f": numbers(8), "v": np.abs(numbers(8)) + 1},
    )
    (group,) = groups_of(made).values()
    assert passengers_of(group) == ("norm",)
    norm = group.consumers[0].passengers[0]
    assert isinstance(norm, Norm)
    assert norm.eps == pytest.approx(0.01)
    assert len({norm.weight, norm.bias, norm.mean}) == 3


def test_depthwise_convolutions_ride():
    made = image(
        node("Conv", "h wd", "d", group=8, name="depth"), node("Relu", "d", "z"),
        tensors={"wd": numbers(8, 1, 3, 3)},
    )  # fmt: skip
    (group,) = groups_of(made).values()
    assert passengers_of(group) == ("depth",)


def test_a_sum_of_channels_behind_a_convolution_is_its_bias():
    made = image(
        node("Conv", "h wc", "c", name="c"), node("Add", "c bc", "d"), node("Relu", "d", "z"),
        tensors={"wc": numbers(8, 8, 1, 1), "bc": numbers(1, 8, 1, 1)},
    )  # fmt: skip
    assert groups_of(made)["c"].producer.bias == "bc"


def test_gates_squeeze_and_excite():
    nodes = [
        node("Relu", "h", "r"), node("GlobalAveragePool", "r", "g"),
        node("Conv", "g wd", "d", name="down"), node("Relu", "d", "e"),
        node("Conv", "e wu", "u", name="up"), node("HardSigmoid", "u", "s"),
        node("Mul", "r s", "z"),
    ]  # fmt: skip
    made = image(*nodes, tensors={"wd": numbers(4, 8, 1, 1), "wu": numbers(8, 4, 1, 1)})
    found = groups_of(made)
    assert [(one.name, [gate.name for gate in one.gates]) for one in found.values()] == [
        ("a", ["up"]), ("down", []),
    ]  # fmt: skip


def flattened(*middle, tensors):
    return document(
        [node("Conv", "x wa", "h", name="a"), node("Relu", "h", "r"), *middle,
         node("Gemm", "z wb", "y", name="b")],
        {"x": ("batch", 3, 4, 4)}, {"y": ("batch", 5)},
        {"wa": numbers(8, 3, 3, 3), "wb": numbers(32, 5), **tensors},
    )  # fmt: skip


FLATTENINGS = {
    "flatten": ([node("Flatten", "r", "z")], {}),
    "reshape": ([node("Reshape", "r to", "z")], {"to": whole(0, -1)}),
    "written out": ([node("Reshape", "r to", "z")], {"to": whole(-1, 32)}),
    "by the shape": (
        [node("Shape", "r", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axis", "u"),
         node("Concat", "u rest", "to", axis=0), node("Reshape", "r to", "z")],
        {"zero": np.array(0, np.int64), "axis": whole(0), "rest": whole(-1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLATTENINGS)
def test_channels_are_known_behind_a_flattening(name):
    nodes, tensors = FLATTENINGS[name]
    (group,) = groups_of(flattened(*nodes, tensors=tensors)).values()
    assert group.consumers[0].taps == 4


def test_a_shape_that_is_read_as_a_number_blocks():
    nodes = [node("Shape", "h", "s"), node("Cast", "s", "c", to=1), node("ReduceMean", "c", "m"),
             node("Mul", "h m", "z")]  # fmt: skip
    assert "Shape" in reasons_of(between(*nodes, width=8))["a"]


def test_quantised_weights_are_left_whole_and_counted():
    made = document(
        [node("MatMul", "x u", "h"), node("DequantizeLinear", "q s", "w"),
         node("MatMul", "h w", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"u": numbers(5, 8), "q": np.ones((8, 4), np.int8), "s": scalar(0.1)},
    )  # fmt: skip
    graph, reasons = lowered(made).graph, reasons_of(made)
    assert "a matrix product whose weight is quantised" in reasons["Nh"]
    assert reasons["Nw"] == "a quantised operation (DequantizeLinear) is not cut"
    assert graph.parameters["q"].numel() == 32


def branches(condition):
    def branch(name):
        value = helper.make_tensor_value_info(f"{name}y", FLOAT, None)
        inner = numpy_helper.from_array(numbers(8, 8), f"{name}w")
        body = [node("MatMul", f"h {name}w", f"{name}m"), node("Add", f"{name}m shift", f"{name}y")]
        return helper.make_graph(body, name, [], [value], [inner])

    return node(
        "If", condition, "z", then_branch=branch("t"), else_branch=branch("e"), name="choice"
    )


def test_control_flow_is_left_whole_with_all_that_it_reads():
    made = between(branches("yes"), tensors={"yes": np.array(True), "shift": numbers(8)}, width=8)
    graph = lowered(made).graph
    (choice,) = [one for one in graph.nodes if isinstance(one, Opaque)]
    assert choice.inputs == ("h",)
    assert choice.operator == "control flow (If) around the layers Nem, Ntm"
    assert set(choice.parameters) == {"shift", "choice/tw", "choice/ew"}
    assert "control flow (If)" in reasons_of(made)["a"]
    assert reasons_of(made)["choice"] == f"{choice.operator} is not cut"


def test_a_tensor_that_a_branch_reads_is_not_cut():
    nodes = [node("MatMul", "x v", "h", name="a"), branches("yes"), node("MatMul", "h u", "g"),
             node("Add", "z g", "y")]  # fmt: skip
    made = document(
        nodes, {"x": (8, 8)}, {"y": (8, 8)},
        {"v": numbers(8, 8, seed=2), "u": numbers(8, 8, seed=3), "shift": numbers(8),
         "yes": np.array(True)},
    )  # fmt: skip
    assert "a" not in groups_of(made)


def test_layers_of_one_name_are_told_apart():
    made = document(
        [node("MatMul", "x w", "h", name="same"), node("Relu", "h", "r", name="act"),
         node("MatMul", "r v", "y", name="same")],
        {"x": (2, 5)}, {"y": (2, 4)}, {"w": numbers(5, 8), "v": numbers(8, 4)},
    )  # fmt: skip
    names = [one.name for one in lowered(made).graph.nodes]
    assert names == ["same", "act", "same → y"]


def test_layers_without_a_name_are_called_by_their_weights():
    made = document(
        [node("MatMul", "x w", "h", name=""), node("MatMul", "h v", "y", name="")],
        {"x": (2, 5)}, {"y": (2, 4)}, {"w": numbers(5, 8), "v": numbers(8, 4)},
    )  # fmt: skip
    assert [one.name for one in lowered(made).graph.nodes] == ["w", "v"]


def test_inner_steps_of_a_spelling_that_others_read_stay():
    nodes = [node("Sigmoid", "h", "s"), node("Mul", "h s", "z")]
    made = document(
        [node("Gemm", "x wa", "h", name="a"), *nodes, node("Gemm", "z wb", "p", name="b"),
         node("Gemm", "s wc", "q", name="c"), node("Add", "p q", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"wa": numbers(5, 8), "wb": numbers(8, 4), "wc": numbers(8, 4, seed=1)},
    )  # fmt: skip
    (group,) = groups_of(made).values()
    kinds = [
        layer_of(group, one, lowered(made).graph.parameters).activation.name
        for one in group.consumers
    ]
    assert kinds == ["silu", "sigmoid"]


def test_nothing_to_cut_is_no_error():
    made = document([node("Identity", "x", "y")], {"x": (1,)}, {"y": (1,)})
    found = lowered(made).graph
    assert [type(one) for one in found.nodes] == [Elementwise]
    assert (found.inputs, found.outputs) == ({"x"}, {"y"})
