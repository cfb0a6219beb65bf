import pytest
from shells.onnx_file.graphs import document, node

from coreprune.errors import FileFormatError
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import KEY, record_in, save_file


def plain():
    return document([node("Relu", "x", "y")], {"x": [2]}, {"y": [2]})


def noted(text):
    made = plain()
    made.model.metadata_props.add(key=KEY, value=text)
    return made


def test_what_is_saved_is_read_again_without_the_curve(tmp_path):
    path = tmp_path / "small.onnx"
    save_file(noted('{"format": 1, "old": true}'), path, record={"seed": 3, "curve": [1, 2]})
    record = record_in(read(path))
    assert record["seed"] == 3
    assert not {"curve", "old"} & set(record)


def test_other_notes_of_the_file_stay(tmp_path):
    made, path = plain(), tmp_path / "small.onnx"
    made.model.metadata_props.add(key="author", value="somebody")
    save_file(made, path, record={})
    kept = {entry.key: entry.value for entry in read(path).model.metadata_props}
    assert kept["author"] == "somebody"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is damaged"),
        ("[1]", "is not of format 1"),
        ('{"format": 2}', "is not of format 1"),
    ],
)
def test_a_record_that_says_nothing_is_refused(text, words):
    with pytest.raises(FileFormatError, match=words):
        record_in(noted(text))


def test_a_file_of_others_has_no_record():
    with pytest.raises(FileFormatError, match="has no record of coreprune"):
        record_in(plain())
