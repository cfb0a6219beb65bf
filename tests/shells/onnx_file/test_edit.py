import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import (
    FLOAT,
    between,
    document,
    exported,
    groups_of,
    halved,
    lowered,
    node,
    numbers,
    numpy_helper,
    onnx,
    perceptron,
    whole,
)
from torch import nn

from coreprune.graph.partition import find_groups
from coreprune.shells.onnx_file.document import declared, read
from coreprune.shells.onnx_file.edit import edited
from coreprune.shells.onnx_file.examples import example_inputs
from coreprune.shells.onnx_file.session import outputs
from coreprune.shells.onnx_file.writing import write
from coreprune.shells.torch_module.subject import prepare


def complete(made, tmp_path):
    """The file as another program reads it, checked."""
    write(made, tmp_path / "m.onnx")
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    return onnx.load(tmp_path / "m.onnx")


def tensors_in(message):
    return {one.name: numpy_helper.to_array(one) for one in message.graph.initializer}


def test_nothing_changed_gives_the_same_answers(tmp_path):
    made = exported(perceptron(20, 60, 50, 3), (torch.zeros(1, 20),))
    same = edited(made, lowered(made), {})
    inputs = example_inputs(made)
    assert complete(same, tmp_path).graph.node == made.model.graph.node
    for name, answer in outputs(same, inputs).items():
        assert np.array_equal(answer, outputs(made, inputs)[name])


def test_a_cut_file_is_smaller_and_keeps_names_and_interface(tmp_path):
    made = exported(
        perceptron(20, 60, 50, 3), (torch.zeros(1, 20),),
        input_names=["features"], output_names=["scores"],
        dynamic_axes={"features": {0: "batch"}},
    )  # fmt: skip
    made.model.metadata_props.add(key="labels", value="a,b,c")
    small, wrong = halved(made)
    assert wrong is None
    before, after = complete(made, tmp_path), None
    size = (tmp_path / "m.onnx").stat().st_size
    after = complete(small, tmp_path)
    assert (tmp_path / "m.onnx").stat().st_size < 0.7 * size
    assert before.graph.input == after.graph.input
    assert before.graph.output == after.graph.output
    assert before.metadata_props == after.metadata_props
    assert before.opset_import == after.opset_import
    assert [one.name for one in before.graph.node] == [one.name for one in after.graph.node]
    assert tensors_in(before).keys() == tensors_in(after).keys()
    assert {name: one.shape for name, one in tensors_in(after).items()} == {
        "0.weight": (30, 20), "0.bias": (30,), "2.weight": (25, 30), "2.bias": (25,),
        "4.weight": (3, 25), "4.bias": (3,),
    }  # fmt: skip


def test_the_document_that_is_cut_stays_as_it_was():
    made = exported(perceptron(20, 60, 3), (torch.zeros(1, 20),))
    message, tensors = made.model.SerializeToString(), dict(made.tensors)
    halved(made)
    assert made.model.SerializeToString() == message
    assert made.tensors == tensors


def test_a_cut_file_can_be_cut_again():
    made = exported(perceptron(20, 64, 3), (torch.zeros(1, 20),))
    once, _ = halved(made)
    twice, wrong = halved(once)
    assert wrong is None
    assert [group.neurons for group in groups_of(twice).values()] == [16]


@pytest.mark.parametrize(
    "middle",
    [
        [node("Relu", "h", "z")],
        [node("PRelu", "h f", "z")],
        [node("Mul", "h g", "m"), node("Add", "m f", "z")],
        [node("Reshape", "h shape", "s"), node("Relu", "s", "t"), node("Reshape", "t back", "z")],
        [node("Reshape", "h flat", "s"), node("Relu", "s", "t"), node("Reshape", "t back", "z")],
    ],
    ids=["relu", "slopes", "factors and terms", "written sizes", "an axis of its own"],
)
def test_what_goes_by_the_width_follows(middle):
    tensors = {"f": numbers(8), "g": numbers(1, 8), "shape": whole(-1, 8), "flat": whole(0, 8, 1),
               "back": whole(0, 8)}  # fmt: skip
    made = between(*middle, tensors=tensors, width=8)
    small, wrong = halved(made)
    assert wrong is None
    assert [group.neurons for group in groups_of(small).values()] == [4]


def test_a_size_among_others_that_are_computed_follows():
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axis", "u"),
        node("Concat", "u eight", "to", axis=0), node("Reshape", "h to", "r"),
        node("Relu", "r", "z"),
    ]  # fmt: skip
    tensors = {"zero": np.array(0, np.int64), "axis": whole(0), "eight": whole(8)}
    small, wrong = halved(between(*nodes, tensors=tensors, width=8))
    assert wrong is None
    assert outputs(small, {"x": numbers(7, 5)})["y"].shape == (7, 3)


def test_sizes_that_others_read_stay_for_them():
    nodes = [node("Reshape", "h shape", "r"), node("Relu", "r", "z")]
    made = document(
        [node("Gemm", "x wa", "h", name="a"), *nodes, node("Gemm", "z wb", "p", name="b"),
         node("Reshape", "x2 shape", "q"), node("Concat", "p q", "y", axis=1)],
        {"x": (2, 5), "x2": (2, 8)}, {"y": (2, 12)},
        {"wa": numbers(5, 8), "wb": numbers(8, 4), "shape": whole(2, 8)},
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    kept = {one.name: numpy_helper.to_array(one) for one in small.model.graph.initializer}
    assert kept["shape"].tolist() == [2, 8]
    assert small.tensors["shape_1"].tensor().tolist() == [2, 4]


@pytest.mark.parametrize(
    "chain",
    [
        [node("Transpose", "s", "w", perm=[1, 0])],
        [node("Identity", "s", "i"), node("Transpose", "i", "w")],
        [node("Transpose", "s", "t"), node("Cast", "t", "w", to=FLOAT)],
        [node("Cast", "s", "t", to=FLOAT), node("Transpose", "t", "w")],
    ],
    ids=["transpose", "identity", "cast behind", "cast before"],
)
def test_weights_are_written_where_nodes_read_them(chain, tmp_path):
    half = any(one.op_type == "Cast" for one in chain)
    tensors = {"s": numbers(80, 50, dtype=np.float16 if half else np.float32), "v": numbers(80, 4)}
    made = document(
        [*chain, node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")],
        {"x": ("batch", 50)}, {"y": ("batch", 4)}, tensors,
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    after = complete(small, tmp_path)
    assert "s" not in tensors_in(after)
    assert sum(one.size for one in tensors_in(after).values()) == 40 * 50 + 40 * 4
    assert ("Cast" in [one.op_type for one in after.graph.node]) == (chain[-1].op_type == "Cast")


def test_weights_in_nodes_are_replaced(tmp_path):
    weights = {name: numpy_helper.from_array(numbers(*shape))
               for name, shape in {"w": (50, 80), "v": (80, 4)}.items()}  # fmt: skip
    made = document(
        [*[node("Constant", "", name, value=one) for name, one in weights.items()],
         node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")],
        {"x": ("batch", 50)}, {"y": ("batch", 4)},
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    after = complete(small, tmp_path)
    assert {name: one.shape for name, one in tensors_in(after).items()} == {
        "w": (50, 40), "v": (40, 4),
    }  # fmt: skip


def test_a_vector_that_layers_shared_is_written_for_the_one_that_changed(tmp_path):
    made = document(
        [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v b", "y")],
        {"x": (2, 5)}, {"y": (2, 8)},
        {"w": numbers(5, 8), "b": numbers(8), "v": numbers(8, 8)},
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    shapes = {name: one.shape for name, one in tensors_in(complete(small, tmp_path)).items()}
    assert shapes == {"w": (5, 4), "b_1": (4,), "v": (4, 8), "b_2": (8,)}


def test_a_bias_of_one_entry_becomes_one_each():
    made = document(
        [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")],
        {"x": (2, 5)}, {"y": (2, 4)},
        {"w": numbers(5, 8), "b": numbers(1, 1), "v": numbers(8, 4)},
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    assert small.tensors["b"].shape == (4,)


def test_tensors_that_are_declared_as_inputs_are_declared_anew(tmp_path):
    made = between(node("Relu", "h", "z"), width=8)
    for name, shape in {"wa": (8, 5), "ba": (8,), "wb": (3, 8)}.items():
        made.model.graph.input.append(onnx.helper.make_tensor_value_info(name, FLOAT, shape))
    small, wrong = halved(made)
    assert wrong is None
    complete(small, tmp_path)
    shapes = {one.name: [size.dim_value for size in one.type.tensor_type.shape.dim]
              for one in small.model.graph.input}  # fmt: skip
    assert (shapes["wa"], shapes["ba"], shapes["wb"]) == ([4, 5], [4], [3, 4])


def test_noted_shapes_that_no_longer_hold_are_forgotten(tmp_path):
    made = document(
        [node("Relu", "x", "before"), node("MatMul", "before w", "h"), node("Relu", "h", "r"),
         node("MatMul", "r v", "y")],
        {"x": ("batch", 5)}, {"y": ("batch", 4)}, {"w": numbers(5, 8), "v": numbers(8, 4)},
    )  # fmt: skip
    for name, width in {"h": 8, "r": 8, "before": 5}.items():
        entry = onnx.helper.make_tensor_value_info(name, FLOAT, ("batch", width))
        made.model.graph.value_info.append(entry)
    small, _ = halved(made)
    assert [one.name for one in small.model.graph.value_info] == ["before"]
    complete(small, tmp_path)


class Block(nn.Module):
    """Depthwise, normalised, gated, and added to what went in."""

    def __init__(self):
        super().__init__()
        self.wide, self.norm = nn.Conv2d(6, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.down, self.up = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.narrow = nn.Conv2d(16, 6, 1)

    def forward(self, x):
        h = nn.functional.hardswish(self.depth(nn.functional.hardswish(self.norm(self.wide(x)))))
        gate = self.up(self.down(nn.functional.adaptive_avg_pool2d(h, 1)).relu())
        return x + self.narrow(h * nn.functional.hardsigmoid(gate))


@pytest.mark.parametrize("folding", [True, False], ids=["folded", "not folded"])
def test_depthwise_and_gated_channels_are_cut_together(folding, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 1), Block(), nn.Flatten(), nn.Linear(6 * 36, 5))
    net[1].norm.running_var.uniform_(0.5, 1.5)
    training = torch.onnx.TrainingMode.EVAL if folding else torch.onnx.TrainingMode.PRESERVE
    made = exported(
        net, (torch.randn(2, 3, 6, 6),), do_constant_folding=folding, training=training,
        dynamic_axes={"x": {0: "batch"}}, input_names=["x"],
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    groups = {group.neurons for group in groups_of(small).values()}
    assert groups == {8, 2}
    depth = [one for one in complete(small, tmp_path).graph.node if one.op_type == "Conv"][2]
    assert [entry.i for entry in depth.attribute if entry.name == "group"] == [8]


SPLITS = {
    "without sizes": (node("Split", "h", "l r", axis=1), {}, 17),
    "counted": (node("Split", "h", "l r", axis=-1, num_outputs=2), {}, 18),
    "sizes": (node("Split", "h s", "l r", axis=1), {"s": whole(4, 4)}, 17),
    "sizes as an attribute": (node("Split", "h", "l r", axis=1, split=[4, 4]), {}, 11),
}


@pytest.mark.parametrize("name", SPLITS)
def test_halves_that_are_multiplied_are_cut_together(name, tmp_path):
    split, tensors, opset = SPLITS[name]
    gate = [split, node("Sigmoid", "r", "s1"), node("Mul", "l s1", "z")]
    made = between(*gate, tensors=tensors, width=4, opset=opset)
    small, wrong = halved(made)
    assert wrong is None
    assert {group.neurons for group in groups_of(small).values()} == {2}
    held = tensors_in(complete(small, tmp_path))
    assert (held["wa"].shape, held["wb"].shape) == ((4, 5), (3, 2))


@pytest.mark.parametrize("unread", [0, 1, 2])
def test_parts_that_nobody_reads_are_cut_with_the_rest(unread):
    parts = ["p", "q", "r"]
    read = [name for place, name in enumerate(parts) if place != unread]
    split = node("Split", "h s", " ".join(parts), axis=1)
    made = document(
        [node("Gemm", "x w", "h", name="a"), split, node("Mul", " ".join(read), "z"),
         node("Gemm", "z v", "y", name="b")],
        {"x": ("batch", 5)}, {"y": ("batch", 3)},
        {"w": numbers(5, 24), "v": numbers(8, 3), "s": whole(8, 8, 8)},
    )  # fmt: skip
    small, wrong = halved(made)
    assert wrong is None
    assert small.tensors["s"].tensor().tolist() == [4, 4, 4]


def test_a_fused_gate_of_a_file_has_the_groups_that_the_module_has():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.GLU(), nn.Linear(8, 3))
    (own,) = find_groups(prepare(net, torch.zeros(2, 6)).graph).groups
    (group,) = find_groups(lowered(exported(net, (torch.zeros(2, 6),))).graph).groups
    assert group.neurons == own.neurons == 8
    assert [(s.start, s.stop) for s in group.slices] == [(s.start, s.stop) for s in own.slices]


def test_half_precision_stays_half_precision(tmp_path):
    torch.manual_seed(0)
    made = exported(perceptron(20, 60, 3).half(), (torch.zeros(1, 20, dtype=torch.float16),))
    small, wrong = halved(made)
    assert wrong is None
    kinds = {one.dtype for one in tensors_in(complete(small, tmp_path)).values()}
    assert kinds == {np.dtype(np.float16)}


def test_external_tensors_are_cut_too(tmp_path):
    made = exported(perceptron(20, 60, 50, 3), (torch.zeros(1, 20),))
    write(made, tmp_path / "plain.onnx")
    onnx.save(
        onnx.load(tmp_path / "plain.onnx"), tmp_path / "m.onnx", save_as_external_data=True,
        location="m.bin", size_threshold=100,
    )  # fmt: skip
    small, wrong = halved(read(tmp_path / "m.onnx"))
    assert wrong is None
    write(small, tmp_path / "small.onnx")
    onnx.checker.check_model(str(tmp_path / "small.onnx"), full_check=True)
    again = read(tmp_path / "small.onnx")
    inputs = example_inputs(again)
    for name, answer in outputs(small, inputs).items():
        assert np.array_equal(answer, outputs(again, inputs)[name])
    size = sum((tmp_path / name).stat().st_size for name in ("small.onnx", "small.onnx.data"))
    assert size < (tmp_path / "plain.onnx").stat().st_size
    assert declared(again).graph.input
