from xml.etree import ElementTree

import pytest
from report.records import CERTIFIED, RESULT

from coreprune import ArgumentError
from coreprune.report.context import Context
from coreprune.report.publishing import publish

CONTEXT = Context(name="LeNet", kind="module", certified=CERTIFIED)


def test_a_page_and_its_drawings_are_written_and_replaced(tmp_path):
    for _ in range(2):
        publish(RESULT.to_json(), tmp_path / "r.html", context=CONTEXT, figures=tmp_path / "f")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    names = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert names == ["curve.svg", "groups.svg", "layers.svg", "outputs.svg"]
    for path in (tmp_path / "f").iterdir():
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.attrib["viewBox"].startswith("0 0 760 ")


def test_the_same_result_gives_the_same_page(tmp_path):
    for name in ("a", "b"):
        publish(RESULT.to_json(), tmp_path / name, context=CONTEXT, figures=None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("path", ["missing/r.html", ""])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, path):
    with pytest.raises(ArgumentError, match="cannot be written"):
        publish(RESULT.to_json(), tmp_path / path, context=CONTEXT, figures=None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_drawings_must_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"figures .* cannot be written"):
        publish(RESULT.to_json(), tmp_path / "r", context=CONTEXT, figures=tmp_path / "file" / "f")
