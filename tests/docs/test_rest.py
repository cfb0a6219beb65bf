import pytest

import coreprune
from docs.generators import rest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(rest, "DOCS", tmp_path)
    return tmp_path


def test_pages_that_the_front_page_does_not_name_come_last(folder):
    listed = "```{toctree}\nguide\n```\n<!-- made: other pages -->\nonnx\n<!-- /made -->\n"
    (folder / "index.md").write_text(listed)
    (folder / "guide.md").write_text("# Guide")
    assert rest.other_pages() == ""
    (folder / "onnx.md").write_text("# ONNX files")
    assert rest.other_pages().splitlines()[-2:] == ["onnx", "```"]


def test_names_that_the_reference_does_not_name_come_last(folder, monkeypatch):
    monkeypatch.setattr(coreprune, "__all__", ["Ball", "prune", "certify"])
    (folder / "reference.md").write_text(".. autofunction:: prune\n.. autoclass:: x.Ball\n")
    assert ".. autofunction:: certify" in rest.other_names()
    assert "Ball" not in rest.other_names()
