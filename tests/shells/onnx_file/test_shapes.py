import numpy as np
import pytest
from shells.onnx_file.graphs import between, document, helper, model, node, numbers, onnx, whole

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file import shapes
from coreprune.shells.onnx_file.document import from_model
from coreprune.shells.onnx_file.examples import example_inputs, open_axes
from coreprune.shells.onnx_file.session import start
from coreprune.shells.onnx_file.shapes import guessed_sizes, inferred, shaped
from coreprune.shells.onnx_file.subject import open_file
from coreprune.shells.onnx_file.writing import write


def tokens():
    nodes = [node("Gather", "table ids", "e"), node("ReduceMean", "e", "y", axes=[1], keepdims=0)]
    made = document(
        nodes, {"ids": ("batch", "time")}, {"y": ("batch", 4)}, {"table": numbers(9, 4)}
    )
    made.model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return made


def test_open_axes_are_known_by_name_or_place():
    made = document([node("Relu", "x", "y")], {"x": ("batch", 3, None)}, {"y": (None, 3, None)})
    assert open_axes(made) == {"batch": ("x", 0), "x:2": ("x", 2)}
    found = example_inputs(made, {"batch": 4, "x:2": 7})
    assert found["x"].shape == (4, 3, 7)
    assert found["x"].dtype == np.float32


def test_what_is_a_batch_is_one_wherever_it_is():
    nodes = [node("Relu", "x", "y"), node("Relu", "s", "t")]
    made = document(
        nodes, {"x": ("batch", "time"), "s": (2, "batch")}, {"y": (None, None), "t": (2, None)}
    )
    found = example_inputs(made, default=5)
    assert [array.shape for array in found.values()] == [(1, 5), (2, 1)]


def test_tokens_are_small_whole_numbers_and_the_same_each_time():
    first, second = (example_inputs(tokens(), {"time": 50}, seed=3)["ids"] for _ in range(2))
    assert first.dtype == np.int64
    assert set(first.flatten().tolist()) == {0, 1}
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("dimensions", "words"),
    [({"bath": 4}, "dimensions names bath.*open are batch"), ({"batch": 0}, "must be positive")],
    ids=str,
)
def test_dimensions_that_do_not_fit_are_refused(dimensions, words):
    with pytest.raises(ArgumentError, match=words):
        example_inputs(between(node("Relu", "h", "z"), width=8), dimensions)


def test_shapes_are_inferred_for_the_sizes_given():
    about = shaped(between(node("Relu", "h", "z"), width=8), {"batch": 4})
    assert {name: about.shapes[name] for name in "xhzy"} == {
        "x": (4, 5), "h": (4, 8), "z": (4, 8), "y": (4, 3),
    }  # fmt: skip
    assert about.notes == ()


def test_what_cannot_be_inferred_is_run():
    nodes = [
        node("Abs", "x", "m"),
        node("NonZero", "m", "places"),
        node("Transpose", "places", "rows", perm=[1, 0]),
        node("Cast", "rows", "y", to=1),
    ]
    made = document(nodes, {"x": (2, 3)}, {"y": (None, 2)})
    assert "rows" not in inferred(made, {"x": (2, 3)})
    assert shaped(made).shapes["rows"] == (6, 2)


def test_a_model_that_does_not_run_has_a_note_and_no_error():
    nodes = [node("Relu", "x", "h"), helper.make_node("Magic", ["h"], ["y"], domain="com.example")]
    made = document(
        nodes,
        {"x": ("batch", 3)},
        {"y": (None, None)},
        imports=[helper.make_opsetid("com.example", 1)],
    )
    about = shaped(made)
    assert about.shapes["h"] == (1, 3)
    (note,) = about.notes
    assert "ONNX Runtime cannot run the model" in note


def test_sizes_are_tried_until_the_model_runs():
    nodes = [
        node("NonZero", "x", "n"),
        node("Reshape", "x size", "h"),
        node("Cast", "n", "c", to=1),
        node("ReduceSum", "c", "s", keepdims=0),
        node("Add", "h s", "y"),
    ]
    made = document(nodes, {"x": (1, "time")}, {"y": (8, None)}, {"size": whole(8, 28)})
    assert shaped(made).shapes["x"] == (1, 224)


def test_a_model_that_runs_with_no_size_is_loaded_once_and_named_by_the_first(monkeypatch):
    nodes = [node("Relu", "x", "h"), node("Reshape", "h size", "y")]
    made = document(nodes, {"x": (1, "time")}, {"y": (None, None)}, {"size": whole(3, 5)})
    monkeypatch.setattr(shapes, "inferred", lambda _, sizes: dict(sizes))
    loaded = []
    monkeypatch.setattr(shapes, "start", lambda *a, **k: loaded.append(1) or start(*a, **k))
    about = shaped(made)
    assert loaded == [1]
    assert about.shapes == {"x": (1, 32)}
    (note,) = about.notes
    assert "x (1, 32)" in note


def test_inputs_that_are_no_tensors_are_noted():
    message = model([node("SequenceAt", "s i", "y")], {}, {"y": (None,)}, {"i": np.array(0)})
    message.graph.input.append(helper.make_tensor_sequence_value_info("s", 1, (3,)))
    made = from_model(message)
    assert shaped(made).notes == ("it cannot be run: its inputs s are no tensors",)
    with pytest.raises(ArgumentError, match="input s is no tensor"):
        example_inputs(made)


def test_guessed_sizes_are_told_and_a_batch_is_no_guess():
    made = document(
        [node("Relu", "x", "y"), node("Relu", "s", "t")],
        {"x": ("batch", 3, "height", "width"), "s": ("batch", 2)},
        {"y": (None, 3, None, None), "t": (None, 2)},
    )
    words = guessed_sizes(made, None, shaped(made).example)
    assert "were taken as x 1×3×32×32; pass example_inputs" in words
    known = {"x:2": 8, "x:3": 8}
    assert not guessed_sizes(made, known, shaped(made, known).example)
    assert "x 1×3×8×32" in guessed_sizes(made, {"x:2": 8}, shaped(made, {"x:2": 8}).example)


def test_a_file_with_open_axes_notes_their_sizes_only_where_nothing_was_given(tmp_path):
    write(tokens(), path := tmp_path / "net.onnx")
    (note,) = open_file(path).graph.notes
    assert "ids 1×32" in note
    assert not open_file(path, np.zeros((2, 7), dtype=np.int64)).graph.notes
