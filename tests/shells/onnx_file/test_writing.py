import numpy as np
import pytest
from shells.onnx_file.graphs import exported, model, node, numbers, onnx, perceptron
from torch import zeros

from coreprune.errors import ArgumentError
from coreprune.shells.onnx_file import writing
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.examples import example_inputs
from coreprune.shells.onnx_file.session import outputs
from coreprune.shells.onnx_file.writing import write


@pytest.fixture
def original(tmp_path):
    message = model(
        [node("Gemm", "x w b", "h", transB=1), node("Gemm", "h v", "y")],
        {"x": ("batch", 20)},
        {"y": ("batch", 30)},
        {"w": numbers(60, 20), "b": numbers(60), "v": numbers(60, 30)},
    )
    message.metadata_props.add(key="labels", value="a,b")
    path = tmp_path / "original.onnx"
    onnx.save(message, path)
    return path


def tensors_in(path):
    graph = onnx.load(path).graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


def test_a_round_trip_keeps_everything(original, tmp_path):
    document = read(original)
    write(document, tmp_path / "copy.onnx")
    before, after = onnx.load(original), onnx.load(tmp_path / "copy.onnx")
    onnx.checker.check_model(after, full_check=True)
    for field in ("node", "input", "output"):
        assert getattr(before.graph, field) == getattr(after.graph, field)
    assert before.metadata_props == after.metadata_props
    assert before.opset_import == after.opset_import
    own, copied = tensors_in(original), tensors_in(tmp_path / "copy.onnx")
    assert own.keys() == copied.keys()
    assert all(np.array_equal(own[name], copied[name]) for name in own)
    inputs = example_inputs(document, {"batch": 4})
    again = outputs(read(tmp_path / "copy.onnx"), inputs)["y"]
    assert np.array_equal(outputs(document, inputs)["y"], again)


def test_an_exported_network_answers_bit_for_bit_as_before(tmp_path):
    document = exported(perceptron(20, 70, 60, 3), (zeros(1, 20),))
    write(document, tmp_path / "copy.onnx")
    inputs = example_inputs(document)
    copy = outputs(read(tmp_path / "copy.onnx"), inputs)
    assert all(np.array_equal(copy[name], one) for name, one in outputs(document, inputs).items())


@pytest.mark.parametrize("name", ["original.onnx", "link.onnx"])
def test_the_original_is_never_overwritten(original, tmp_path, name):
    content = original.read_bytes()
    (tmp_path / "link.onnx").symlink_to(original)
    with pytest.raises(ArgumentError, match="is the original; name another file"):
        write(read(original), tmp_path / name)
    assert original.read_bytes() == content


@pytest.mark.parametrize(
    ("place", "words"), [("", "is a folder"), ("no/where.onnx", "does not exist; create it first")]
)
def test_places_that_take_no_file_are_refused(original, tmp_path, place, words):
    with pytest.raises(ArgumentError, match=words):
        write(read(original), tmp_path / place)


def test_nothing_is_left_of_a_write_that_fails(original, tmp_path, monkeypatch):
    target = tmp_path / "out.onnx"
    target.write_bytes(b"an older result")

    def full(document, stream):
        stream.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(writing, "write_message", full)
    with pytest.raises(ArgumentError, match="no space left"):
        write(read(original), target)
    assert target.read_bytes() == b"an older result"
    assert {path.name for path in tmp_path.iterdir()} == {"original.onnx", "out.onnx"}


def test_what_is_too_large_for_a_message_goes_beside_it(original, tmp_path, monkeypatch):
    document = read(original)
    monkeypatch.setattr(writing, "LARGEST", 0)
    write(document, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").stat().st_size < 2000
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)
    own, copied = tensors_in(original), tensors_in(tmp_path / "out.onnx")
    assert all(np.array_equal(own[name], copied[name]) for name in own)
    again = read(tmp_path / "out.onnx")
    inputs = example_inputs(document)
    assert np.array_equal(outputs(document, inputs)["y"], outputs(again, inputs)["y"])


def test_external_tensors_stay_external_and_spare_the_original(original, tmp_path):
    message = onnx.load(original)
    source = tmp_path / "source"
    source.mkdir()
    onnx.save(
        message, source / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0
    )
    content = (source / "m.bin").read_bytes()
    document = read(source / "m.onnx")
    write(document, source / "small.onnx")
    assert (source / "small.onnx.data").exists()
    assert (source / "m.bin").read_bytes() == content
    with pytest.raises(ArgumentError, match=r"small\.onnx\.data exists already"):
        write(document, source / "small.onnx")
    with pytest.raises(ArgumentError, match="is the original"):
        write(document, source / "m.bin")
