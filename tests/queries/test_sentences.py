import pytest

from coreprune.errors import ArgumentError, FileFormatError
from coreprune.queries.sentences import Sentences


def test_a_file_holds_one_sentence_a_line(tmp_path):
    (tmp_path / "lines.txt").write_text("a plane\n\n  das Flugzeug fährt \n", encoding="utf-8")
    for source in (tmp_path / "lines.txt", str(tmp_path / "lines.txt")):
        assert Sentences(source).lines() == ("a plane", "das Flugzeug fährt")


@pytest.mark.parametrize("given", [[], ["", "  "]])
def test_nothing_is_refused(given):
    with pytest.raises(ArgumentError, match="at least one line"):
        Sentences(given).lines()


@pytest.mark.parametrize("given", [7, [1, 2], iter(["a"])])
def test_what_is_no_text_is_refused(given):
    with pytest.raises(ArgumentError, match="list of strings or the path"):
        Sentences(given)


def test_files_that_are_no_text_are_told(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    for name in ("binary", "absent"):
        with pytest.raises(FileFormatError, match="one a line"):
            Sentences(tmp_path / name).lines()
