import json

import onnx
import pytest

import coreprune
from experiments.__main__ import HERE
from experiments.mnist import NoDataError
from experiments.onnx_files import packages, readers, run, sweep, text
from experiments.onnx_files.subjects import SUBJECTS, turned

OPERATORS = (
    "batch_normalization", "cast", "conv", "gemm", "hardswish", "if_", "image_decoder", "loop",
    "lstm", "matmul", "optionalhaselement", "pow", "reshape", "sequence_map", "string_concat",
)  # fmt: skip
REACHABLE = {
    "silero-vad, sequence": 0.359,
    "rapidocr, detection": 0.998,
    "rapidocr, recognition": 0.954,
    "rapidocr, classification": 0.997,
    "silero-vad, streaming": 0.0,
    "magika": 0.0,
}


@pytest.fixture
def file_of():
    def find(name):
        subject = next(one for one in SUBJECTS if one.name == name)
        try:
            return subject.path(fetch=False)
        except NoDataError as reason:
            pytest.skip(str(reason))

    return find


@pytest.mark.parametrize("name", REACHABLE)
def test_as_much_as_ever_can_be_reached(file_of, name):
    found = coreprune.inspect(file_of(name))
    assert found.reachable == pytest.approx(REACHABLE[name], abs=5e-4)
    assert all(layer.reason for layer in found.layers if not layer.neurons)


def test_a_pruned_file_of_others_is_valid_and_runs(file_of, tmp_path):
    path = file_of("rapidocr, classification")
    result = coreprune.prune(path, keep=0.5, method="magnitude")
    result.save(tmp_path / "small.onnx")
    assert all(run.kept(path, tmp_path / "small.onnx").values())
    assert (tmp_path / "small.onnx").stat().st_size < 0.8 * path.stat().st_size
    assert turned(path, path)["as the original"] == 1


def test_the_recogniser_reads_what_is_set(file_of):
    lines = text.typeset(2)
    read = readers.read_lines(file_of("rapidocr, recognition"), [line.pixels for line in lines])
    assert [one.strip() for one in read] == [line.words for line in lines]


def test_what_the_results_say_was_kept_was_kept():
    results = json.loads((HERE / "onnx_files" / "results.json").read_text())
    assert {one["file"]: round(one["reachable"], 3) for one in results["files"]} == REACHABLE
    assert all(all(row["kept"].values()) for row in results["rows"])
    assert run.files_table(results) in (HERE.parent / "docs" / "onnx.md").read_text()


def test_no_operator_ends_in_a_traceback_or_a_warning():
    found = sweep.sweep(sweep.operator_tests(OPERATORS))
    assert found.failures == []
    assert found.outcomes["inspected"] > 100


def test_files_that_onnx_brings_are_inspected_or_refused_with_a_reason():
    found = sweep.sweep(list(sweep.stored_tests())[::4])
    assert found.failures == []
    assert found.outcomes["refused"] == sum(found.refusals.values()) > 20
    assert found.outcomes["inspected"] > 0


def test_the_sweep_tells_failures_apart_from_refusals(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(coreprune, "inspect", lambda _: 1 / 0)
    (tmp_path / "m.onnx").write_bytes(b"")
    assert sweep.main([str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "1 failures" in shown.out
    assert "ZeroDivisionError" in shown.err


def test_a_sweep_of_no_model_is_a_refusal(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    assert sweep.main([str(tmp_path)]) == 0


def test_distances_are_levenshteins():
    assert [text.distance(*pair) for pair in (("", "abc"), ("abc", "abc"), ("abcd", "acx"))] == [
        3, 0, 2,
    ]  # fmt: skip


def test_kept_notices_another_opset(tmp_path):
    for name, version in (("a", 17), ("b", 18)):
        inputs, outputs = ([onnx.helper.make_tensor_value_info(one, 1, (1,))] for one in ("x", "y"))
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])], "g", inputs, outputs
        )
        imports = [onnx.helper.make_opsetid("", version)]
        message = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
        onnx.save(message, tmp_path / f"{name}.onnx")
    told = run.kept(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert [name for name, holds in told.items() if not holds] == ["opset"]


def test_a_package_that_differs_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "FOLDER", tmp_path / "cache")
    monkeypatch.setenv("COREPRUNE_ONNX", str(tmp_path))
    (tmp_path / packages.MAGIKA.archive).write_bytes(b"another")
    with pytest.raises(NoDataError, match=r"is not the release expected"):
        packages.file_of(packages.MAGIKA, "x")
    with pytest.raises(NoDataError, match=r"neither under COREPRUNE_ONNX nor in"):
        packages.file_of(packages.SILERO, "x", fetch=False)


def test_the_ends_of_a_file_are_padded_as_magika_pads_them():
    content = b"  ab "
    expected = [*content.lstrip(), *[256] * 1021, *[256] * 1020, *content.rstrip()]
    assert readers._ends(content) == expected
