import numpy as np
import pytest
from shells.onnx_file.graphs import document, helper, model, node, numbers, onnx

from coreprune.errors import FileFormatError
from coreprune.shells.onnx_file.document import from_model, opset_of, read
from coreprune.shells.onnx_file.nodes import attribute


def layer(rows=64, columns=32):
    return model(
        [node("MatMul", "x w", "y")],
        {"x": ("batch", rows)},
        {"y": ("batch", columns)},
        {"w": numbers(rows, columns)},
    )


def saved(message, path):
    path.write_bytes(message.SerializeToString())
    return path


def test_large_tensors_are_held_apart_and_once(tmp_path):
    made = read(saved(layer(), tmp_path / "m.onnx"))
    assert list(made.tensors) == ["w"]
    assert not made.model.graph.initializer
    np.testing.assert_array_equal(made.tensors["w"].tensor().numpy(), numbers(64, 32))
    assert made.size > 64 * 32 * 4
    assert made.path == tmp_path / "m.onnx"


def test_weights_in_nodes_are_tensors_too():
    weight = onnx.numpy_helper.from_array(numbers(64, 32))
    made = document(
        [node("Constant", "", "w", value=weight), node("MatMul", "x w", "y")],
        {"x": (1, 64)},
        {"y": (1, 32)},
    )
    assert list(made.tensors) == ["w"]
    assert [one.op_type for one in made.model.graph.node] == ["MatMul"]


def test_everything_else_of_the_message_stays():
    message = layer()
    message.metadata_props.add(key="author", value="me")
    message.doc_string = "what it is for"
    made = from_model(message)
    assert [(entry.key, entry.value) for entry in made.model.metadata_props] == [("author", "me")]
    assert made.model.doc_string == "what it is for"
    assert (opset_of(made.model), made.model.ir_version) == (17, 8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no ONNX model"),
        (b"PK\x03\x04 a zip archive and not a network", "is no ONNX file"),
        (layer().SerializeToString()[:-100], "is no ONNX file"),
        (layer().SerializeToString()[:5000], "is no ONNX file"),
    ],
    ids=["empty", "foreign", "truncated", "cut in half"],
)
def test_what_is_no_onnx_file_is_refused(tmp_path, content, words):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"is a folder; pass an \.onnx file"):
        read(tmp_path)


def test_old_operators_are_refused_with_the_way_out(tmp_path):
    message = layer()
    message.opset_import[0].version = 9
    with pytest.raises(FileFormatError, match=r"opset 9.*convert_version"):
        read(saved(message, tmp_path / "m.onnx"))


def test_text_that_is_no_text_is_refused(tmp_path):
    message = layer()
    message.producer_name = "producer"
    path = saved(message, tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"producer", b"produc\xf0r"))
    with pytest.raises(FileFormatError, match="producer_name is no UTF-8 text"):
        read(path)


def test_an_attribute_that_is_no_text_is_read_with_marks_in_its_place():
    attribute_of = node("Conv", "x w", "y", auto_pad="SAME_UPPER")
    attribute_of.attribute[0].s = b"SAM\xd3"
    assert attribute(attribute_of, "auto_pad") == "SAM\ufffd"


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "x", "y")],
        [node("Relu", "nowhere", "y")],
        [node("NoSuchOperator", "x", "y")],
        [node("Relu", "x", "y"), node("Relu", "x", "y")],
    ],
    ids=["a circle", "a value from nowhere", "an unknown operator", "made twice"],
)
def test_invalid_graphs_are_refused(tmp_path, nodes):
    message = model(nodes, {"x": (1,)}, {"y": (1,)})
    with pytest.raises(FileFormatError, match="is no valid ONNX model"):
        read(saved(message, tmp_path / "m.onnx"))


def test_tensors_of_the_wrong_size_are_refused(tmp_path):
    message = layer()
    message.graph.initializer[0].dims[0] = 65
    with pytest.raises(FileFormatError, match="w of shape"):
        read(saved(message, tmp_path / "m.onnx"))


def external(tmp_path, location="weights.bin", **entries):
    message = layer()
    tensor = message.graph.initializer[0]
    (tmp_path / "inside").mkdir(exist_ok=True)
    (tmp_path / "inside" / "weights.bin").write_bytes(tensor.raw_data)
    (tmp_path / "outside.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return saved(message, tmp_path / "inside" / "m.onnx")


def test_external_tensors_are_read_where_they_are(tmp_path):
    made = read(external(tmp_path))
    np.testing.assert_array_equal(made.tensors["w"].tensor().numpy(), numbers(64, 32))
    assert isinstance(made.tensors["w"].data, np.memmap)
    assert made.files == (tmp_path / "inside" / "weights.bin",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"location": "../outside.bin"}, "is not inside"),
        ({"location": "/etc/hostname"}, "is not inside"),
        ({"location": ""}, "is not inside"),
        ({"location": "missing.bin"}, "is missing, which holds w"),
        ({"offset": "4"}, "ends before|do not fit"),
        ({"length": "8193"}, "ends before the 8193 bytes of w"),
        ({"offset": "-1"}, "ends before"),
        ({"offset": "first"}, "is no number"),
    ],
    ids=str,
)
def test_external_tensors_elsewhere_or_incomplete_are_refused(tmp_path, options, words):
    with pytest.raises(FileFormatError, match=words):
        read(external(tmp_path, **options))


def test_links_out_of_the_folder_are_refused(tmp_path):
    path = external(tmp_path, location="link.bin")
    (tmp_path / "inside" / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(FileFormatError, match="is not inside"):
        read(path)


def test_operators_of_other_makers_are_no_error():
    made = document(
        [helper.make_node("Magic", ["x"], ["y"], domain="com.example")],
        {"x": (1,)},
        {"y": (1,)},
        imports=[helper.make_opsetid("com.example", 1)],
    )
    assert made.model.graph.node[0].domain == "com.example"
