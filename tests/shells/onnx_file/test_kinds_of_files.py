"""Whole runs over files that are kept in other ways than most."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from shells.onnx_file.graphs import exported, helper, model, node, numbers, perceptron, whole

import coreprune
from coreprune import UnsupportedModelError
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.writing import write

HALVES = onnx.TensorProto.FLOAT16


def pruned(path, keep=0.5):
    """The pruned file, checked by onnx, beside it."""
    small = path.with_name("small.onnx")
    result = coreprune.prune(path, keep=keep, method="magnitude")
    result.save(small)
    onnx.checker.check_model(str(small), full_check=True)
    assert result.groups
    return small


def given(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def stored(tmp_path, message, name="m.onnx", **options):
    path = tmp_path / name
    onnx.save(message, path, **options)
    return path


def of_opset(version, operators, inner):
    """Two layers of the given opset around some nodes that read "r" and give "z"."""
    tensors = {"wa": numbers(5, 8), "ba": numbers(8), "wb": numbers(8, 3)}
    return model(
        [node("MatMul", "x wa", "h"), node("Add", "h ba", "a"), *operators,
         node("MatMul", "z wb", "y")],
        {"x": ("batch", 5)}, {"y": ("batch", 3)}, {**tensors, **inner}, opset=version,
    )  # fmt: skip


OLD = {
    "axes of squeezes as attributes": (
        [node("Relu", "a", "r"), node("Unsqueeze", "r", "u", axes=[2]),
         node("Squeeze", "u", "z", axes=[2])], {},
    ),
    "dropout": (
        [node("Relu", "a", "r"), node("Dropout", "r", "z")], {},
    ),
    "clip by inputs": (
        [node("Clip", "a low high", "z")],
        {"low": np.float32(0).reshape(()), "high": np.float32(6).reshape(())},
    ),
    "hard swish spelled out": (
        [node("Add", "a three", "s"), node("Clip", "s low high", "c"), node("Mul", "a c", "p"),
         node("Div", "p six", "z")],
        {"three": np.float32([3]), "low": np.float32(0).reshape(()), "six": np.float32([6]),
         "high": np.float32(6).reshape(())},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("version", [11, 12])
def test_files_of_old_opsets_are_pruned_and_stay_of_it(tmp_path, name, version):
    path = stored(tmp_path, of_opset(version, *OLD[name]))
    small = pruned(path)
    assert onnx.load(small).opset_import[0].version == version
    assert given(small, numbers(4, 5)).shape == (4, 3)
    same = pruned(path, keep=1.0)
    np.testing.assert_allclose(given(same, numbers(4, 5)), given(path, numbers(4, 5)), atol=1e-5)


def test_files_in_half_precision_are_pruned_and_stay_in_it(tmp_path):
    path = tmp_path / "m.onnx"
    write(exported(perceptron(20, 60, 3).half(), (torch.zeros(1, 20, dtype=torch.float16),)), path)
    x = numbers(1, 20, dtype=np.float16)
    small = pruned(path)
    assert {tensor.data_type for tensor in onnx.load(small).graph.initializer} == {HALVES}
    assert given(small, x).dtype == np.float16
    np.testing.assert_allclose(given(pruned(path, keep=1.0), x), given(path, x), atol=2e-2)


def test_of_initialisers_that_others_read_too_a_copy_changes(tmp_path):
    vectors = {"v": numbers(8), "wa": numbers(5, 8), "wb": numbers(8, 8), "wc": numbers(8, 3)}
    message = model(
        [node("MatMul", "x wa", "h"), node("Add", "h v", "a"), node("Relu", "a", "r"),
         node("MatMul", "r wb", "g"), node("Add", "g v", "b"), node("Relu", "b", "s"),
         node("MatMul", "s wc", "y")],
        {"x": ("batch", 5)}, {"y": ("batch", 3)}, vectors,
    )  # fmt: skip
    path = stored(tmp_path, message)
    result = coreprune.prune(path, keep={"Nh": 0.5})
    result.save(tmp_path / "small.onnx")
    shapes = {
        tensor.name: tuple(tensor.dims)
        for tensor in onnx.load(tmp_path / "small.onnx").graph.initializer
    }
    assert sorted(shapes.values()) == [(4,), (4, 8), (5, 4), (8,), (8, 3)]
    assert given(tmp_path / "small.onnx", numbers(2, 5)).shape == (2, 3)


@pytest.mark.parametrize("together", [True, False])
def test_tensors_beside_the_file_are_pruned_and_stay_beside_it(tmp_path, together):
    (tmp_path / "here").mkdir()
    write(exported(perceptron(40, 80, 3), (torch.zeros(1, 40),)), tmp_path / "plain.onnx")
    path = stored(
        tmp_path / "here", onnx.load(tmp_path / "plain.onnx"), save_as_external_data=True,
        all_tensors_to_one_file=together, location="all.bin" if together else None,
        size_threshold=0,
    )  # fmt: skip
    small = pruned(path)
    assert (tmp_path / "here" / "small.onnx.data").stat().st_size == 4 * 40 * 40
    x = numbers(1, 40)
    assert given(small, x).shape == (1, 3)
    for entry in (*(tmp_path / "here").glob("small*"),):
        entry.unlink()
    np.testing.assert_allclose(given(pruned(path, keep=1.0), x), given(path, x), atol=1e-5)


def test_a_tensor_that_a_node_keeps_beside_the_file_is_read(tmp_path):
    """As attributes of constants may, where those of the graph do not."""
    tensor = numpy_helper.from_array(np.float32([[2.0]]), "")
    (tmp_path / "two.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="two.bin")
    constant = helper.make_node("Constant", [], ["two"], value=tensor)
    message = model([constant, node("Mul", "x two", "y")], {"x": (2, 3)}, {"y": (2, 3)})
    document = read(stored(tmp_path, message))
    (held,) = [one for one in document.model.graph.node if one.op_type == "Constant"]
    assert numpy_helper.to_array(held.attribute[0].t) == 2


def test_sizes_that_a_file_writes_out_follow(tmp_path):
    tensors = {"wa": numbers(5, 8), "wb": numbers(8, 3), "shape": whole(-1, 8)}
    message = model(
        [node("MatMul", "x wa", "h"), node("Relu", "h", "r"), node("Reshape", "r shape", "z"),
         node("MatMul", "z wb", "y")],
        {"x": ("batch", 5)}, {"y": ("batch", 3)}, tensors, opset=11,
    )  # fmt: skip
    assert given(pruned(stored(tmp_path, message)), numbers(4, 5)).shape == (4, 3)


def test_a_file_that_cannot_run_is_refused_in_words_of_files(tmp_path):
    message = model(
        [node("Strange", "x", "h", domain="com.example"), node("MatMul", "h w", "y")],
        {"x": ("batch", 5)}, {"y": ("batch", 3)}, {"w": numbers(5, 3)},
        imports=[helper.make_opsetid("com.example", 1)],
    )  # fmt: skip
    with pytest.raises(UnsupportedModelError, match="Noted while reading it: ") as refusal:
        coreprune.prune(stored(tmp_path, message), keep=0.5)
    assert "torch" not in str(refusal.value)
