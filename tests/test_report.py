"""Reports of real results, in Python and on the command line."""

import json

import pytest
import torch
from networks import draw, mlp
from report.pages import Parsed
from shells.hf_folder.test_prune_folder import saved as saved_folder
from test_cli import LENET, run
from test_onnx import saved

import coreprune
from coreprune import ArgumentError
from coreprune.report.numbers import number
from coreprune.shells.hf_folder.prune_folder import prune_folder


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def page(path):
    found = Parsed(path.read_text(encoding="utf-8"))
    assert found.loads() == []
    return found.text


@pytest.fixture
def nets():
    torch.manual_seed(0)
    net = mlp(8, 60, 3)
    return net, coreprune.prune(net, draw(4, 8), keep=0.25)


def test_a_result_reports_itself_with_what_was_measured_and_proven(nets, tmp_path):
    net, result = nets
    measured = coreprune.compare(net, result.model, draw(4, 8), score=lambda _: 0.375, seconds=0)
    certified = coreprune.certify(net, result.model, coreprune.Ball(2.0))
    result.report(
        tmp_path / "out.html",
        comparison=measured,
        certified=certified,
        saved="place",
        figures=tmp_path / "figures",
    )
    text = page(tmp_path / "out.html")
    for words in (
        "Sequential, ", f"723 → {result.parameters_after}", "0.375 → 0.375", "Latency",
        number(float(certified.attack.max())), "into=original", "'place'", result.original_hash,
        f"torch {torch.__version__}", "output 2",
    ):  # fmt: skip
        assert words in text, words
    assert {path.name for path in (tmp_path / "figures").iterdir()} >= {"curve.svg", "layers.svg"}


def test_a_file_reports_itself_and_its_saved_record(nets, tmp_path, command):
    path = saved(nets[0], draw(4, 8), tmp_path / "net.onnx")
    result = coreprune.prune(path, draw(4, 8), keep=0.25)
    result.report(tmp_path / "out.html")
    text = page(tmp_path / "out.html")
    assert "net.onnx, " in text
    assert "Every dot is a network" in text
    result.save(tmp_path / "small.onnx")
    small, out = tmp_path / "small.onnx", tmp_path / "again.html"
    assert command("report", small, "-o", out)[0] == 0
    assert "leaves the curve out" in page(out)
    assert f"InferenceSession('{small}')" in page(out)


def test_a_folder_reports_itself_and_its_saved_record(tmp_path, command):
    saved_folder("bert", tmp_path / "big")
    result = prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    result.report(tmp_path / "out.html", figures=tmp_path / "figures")
    assert command("report", tmp_path / "small", "-o", tmp_path / "again.html")[0] == 0
    for name in ("out.html", "again.html"):
        text = page(tmp_path / name)
        assert "intermediate_size = 12" in text
        assert "import BertForMaskedLM" in text
        assert "model = BertForMaskedLM.from_pretrained" in text
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"blocks.svg", "layers.svg"}


def score(model):
    """What the command line asks for by name."""
    return sum(tensor.numel() for tensor in model.parameters())


def test_prune_reports_and_the_saved_directory_says_the_same(command, tmp_path, monkeypatch):
    torch.manual_seed(0)
    small, out = tmp_path / "small", tmp_path / "out.html"
    code, _, err = command(
        "prune", LENET, "--input", "1x784", "--keep", "0.1", "--queries", "gaussian:0.3",
        "-o", small, "--report", out, "--figures", tmp_path / "figures",
        "--score", f"{__name__}:score",
    )  # fmt: skip
    assert (code, err) == (0, "")
    text = page(out)
    record = json.loads((small / "coreprune.json").read_text())
    after = record["parameters_after"]
    for words in (
        f"266,610 → {after:,}", "Score", "Latency", "coreprune prune",
        f"load('{small}', into=LeNet300100())", record["original_hash"],
    ):  # fmt: skip
        assert words in text, words
    assert text.count(f"266,610 → {after:,}") == 2  # parameters, and the score that counts them
    assert command("report", small, "-o", tmp_path / "again.html")[0] == 0
    again = page(tmp_path / "again.html")
    assert f"266,610 → {after:,}" in again
    assert "Latency" not in again
    assert (tmp_path / "figures" / "curve.svg").exists()


def test_verify_reports_certificates_beside_attacks(command, tmp_path):
    small, out = tmp_path / "small", tmp_path / "out.html"
    torch.manual_seed(0)
    coreprune.prune(
        coreprune.demo.LeNet300100(), torch.ones(1, 784) / 3, keep=0.1, method="magnitude"
    ).save(small)
    torch.manual_seed(0)
    code, printed, err = command("verify", LENET, small, "--effort", "0", "--report", out, "--json")
    assert (code, err) == (0, "")
    found, text = json.loads(printed), page(out)
    assert f"{max(found['certificate']):.3g}" in text
    assert "Certificates out of the saved record, attacked" in text
    assert "fc1" in text
    assert "coreprune verify" in text


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--figures", "f"], 2, "go with --report"),
        (["--score", "json:dumps"], 2, "go with --report"),
        (["--report", "missing/out.html"], 1, "needs a folder that exists"),
        (["--report", "."], 1, "is a folder"),
        (["--report", "model.onnx"], 1, "must end in .html or .htm"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_the_work(command, tmp_path, more, code, words):
    found = command(
        "prune", LENET, "--input", "1x784", "--keep", "0.1", "-o", tmp_path / "small", *more
    )
    assert found[0] == code
    assert words in found[2]
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("damage", [{"groups": None}, {"law": ...}, {"curve": [1]}])
def test_a_damaged_record_is_refused_in_one_line(nets, tmp_path, command, damage):
    nets[1].save(tmp_path / "small")
    path = tmp_path / "small" / "coreprune.json"
    record = json.loads(path.read_text())
    for key, value in damage.items():
        if value is ...:
            del record[key]
        else:
            record[key] = value
    path.write_text(json.dumps(record))
    code, _, err = command("report", tmp_path / "small", "-o", tmp_path / "out.html")
    assert code == 1
    assert err.count("\n") == 1
    assert "damaged or of an older version" in err
    assert not (tmp_path / "out.html").exists()


def test_a_report_in_a_missing_folder_is_refused(nets, tmp_path):
    with pytest.raises(ArgumentError, match="cannot be written"):
        nets[1].report(tmp_path / "missing" / "out.html")


def test_a_folder_on_the_command_line_is_reported_by_prune_and_by_verify(tmp_path, command):
    saved_folder("bert", tmp_path / "big")
    small, out = tmp_path / "small", tmp_path / "out.html"
    found = command("prune", tmp_path / "big", "-o", small, "--keep", "0.5", "--report", out)
    assert found[0] == 0
    assert "intermediate_size = 12" in page(out)
    assert "coreprune prune" in page(out)
    verified = ("verify", tmp_path / "big", small, "--report", out)
    code, printed, err = command(*verified, "--json")
    assert (code, err) == (0, "")
    assert "Every certificate was proven again and no attack beats it" in page(out)
    assert number(json.loads(printed)["blocks"][0]["attack"]) in page(out)
    assert "coreprune verify" in page(out)
    record = json.loads((small / "coreprune.json").read_text())
    record["blocks"][0]["certificate"] = 1e-6
    (small / "coreprune.json").write_text(json.dumps(record))
    assert command(*verified)[0] == 1
    assert "NOT every certificate holds" in page(out)


def test_verify_reports_files_too(nets, tmp_path, command):
    path = saved(nets[0], draw(4, 8), tmp_path / "net.onnx")
    small, out = tmp_path / "small.onnx", tmp_path / "out.html"
    coreprune.prune(path, draw(4, 8), keep=0.25).save(small)
    assert command("verify", path, small, "--effort", "0", "--report", out)[0] == 0
    assert "no attack beats its certificate" in page(out)
    assert f"InferenceSession('{small}')" in page(out)
