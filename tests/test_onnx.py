"""ONNX files through the whole way: found, pruned, written, run."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import draw, mlp
from shells.onnx_file.graphs import exported
from test_cli import run
from torch import nn

import coreprune
from coreprune import ArgumentError, FileFormatError, Repair, Samples
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import record_in

OPEN = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], "output_names": ["y"]}


def saved(net, x, path):
    onnx.save(exported(net.eval(), (x,), **OPEN), path)
    return path


def given(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def images():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3), nn.Hardswish(), nn.Flatten(), nn.Linear(64, 20), nn.ReLU(),
        nn.Linear(20, 3),
    )  # fmt: skip
    return net.eval(), draw(4, 2, 8, 8)


@pytest.mark.parametrize("method", ["magnitude", "priority", "uniform"])
def test_pruned_and_exported_is_exported_and_pruned(images, tmp_path, method):
    net, x = images
    law = Samples(draw(600, 2, 8, 8))
    one = coreprune.prune(net, x, keep=0.5, method=method, queries=law)
    path = saved(net, x, tmp_path / "net.onnx")
    other = coreprune.prune(path, x, keep=0.5, method=method, queries=law)
    assert [group.kept for group in one.groups] == [group.kept for group in other.groups]
    other.save(tmp_path / "small.onnx")
    torch.testing.assert_close(
        given(tmp_path / "small.onnx", x), one.model(x).detach(), rtol=1e-3, atol=1e-4
    )


def test_a_file_becomes_a_smaller_one_of_the_same_kind(images, tmp_path):
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    before = path.read_bytes()
    result = coreprune.prune(path, keep=0.5)
    result.save(tmp_path / "small.onnx")
    one, other = onnx.load(path), onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(other, full_check=True)
    assert path.read_bytes() == before
    assert len((tmp_path / "small.onnx").read_bytes()) < 0.7 * len(before)
    assert (one.graph.input, one.graph.output) == (other.graph.input, other.graph.output)
    assert one.opset_import == other.opset_import
    assert given(tmp_path / "small.onnx", draw(7, 2, 8, 8)).shape == (7, 3)
    record = record_in(read(tmp_path / "small.onnx"))
    assert [group["kept"] for group in record["groups"]] == [list(g.kept) for g in result.groups]
    assert result.parameters_after < result.parameters_before
    assert result.measured_error < result.output_spread


def test_optimal_weights_beat_the_same_neurons_unchanged(images, tmp_path):
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    law = Samples(draw(900, 2, 8, 8))
    errors = [
        coreprune.prune(path, x, keep=0.5, method=method, queries=law) for method in
        ("optimal", "magnitude")
    ]  # fmt: skip
    wanted, apart = net(x).detach(), []
    for number, result in enumerate(errors):
        result.save(tmp_path / f"{number}.onnx")
        apart.append(float((given(tmp_path / f"{number}.onnx", x) - wanted).square().mean()))
    assert apart[0] < 0.5 * apart[1]


def test_everything_kept_changes_nothing(images, tmp_path):
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    coreprune.prune(path, x, keep=1.0).save(tmp_path / "same.onnx")
    torch.testing.assert_close(given(tmp_path / "same.onnx", x), given(path, x), rtol=0, atol=1e-6)


def test_inspect_counts_as_the_module_does(images, tmp_path):
    net, x = images
    plain = nn.Sequential(*(one for one in net if not isinstance(one, nn.BatchNorm2d)))
    found = coreprune.inspect(saved(plain, x, tmp_path / "net.onnx"))
    expected = coreprune.inspect(plain, x)
    assert (found.parameters, found.reachable) == (expected.parameters, expected.reachable)
    assert [layer.neurons for layer in found.layers] == [one.neurons for one in expected.layers]


def test_a_chain_has_a_certificate(tmp_path):
    net, x = mlp(6, 40, 3), draw(4, 6)
    result = coreprune.prune(saved(net, x, tmp_path / "net.onnx"), x, keep=0.5)
    expected = coreprune.prune(net, x, keep=0.5, queries=Samples(x.repeat(20, 1)))
    assert result.certificate_scope == expected.certificate_scope == "network"
    assert 0 < result.certificate < np.inf


def test_what_only_modules_have_is_refused(images, tmp_path):
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    with pytest.raises(ArgumentError, match="repair needs derivatives"):
        coreprune.prune(path, x, keep=0.5, repair=Repair(steps=3))
    with pytest.raises(ArgumentError, match="example_inputs must be given for a module"):
        coreprune.prune(net, keep=0.5)
    with pytest.raises(ArgumentError, match=r"or the path of an .onnx file, got 'net.pt'"):
        coreprune.prune("net.pt", keep=0.5)
    with pytest.raises(ArgumentError, match="names z, which the file has not; its inputs are x"):
        coreprune.prune(path, {"z": x}, keep=0.5)
    with pytest.raises(FileFormatError, match="has no record of coreprune"):
        record_in(read(path))


def test_the_command_line_prunes_a_file(command, images, tmp_path):
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    small = tmp_path / "small.onnx"
    code, out, err = command("prune", path, "-o", small, "--keep", "0.5", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["parameters_after"] < json.loads(out)["parameters_before"]
    assert given(small, x).shape == (4, 3)
    code, out, err = command("inspect", small)
    assert code == 0
    assert "parameters can be reached" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "net.onnx"], 2, "another file than the original"),
        (["-o", "small"], 2, "ends in .onnx"),
        (["-o", "small.onnx", "--repair", "5"], 1, "repair needs derivatives"),
        (["-o", "small.onnx", "--weights", "w.pt"], 1, "leave --weights out"),
        (["-o", "small.onnx", "--input", "1x3x8x8"], 1, "must run through the model"),
    ],
)
def test_the_command_line_refuses_in_words(
    command,
    images,
    tmp_path,
    monkeypatch,
    arguments,
    code,
    words,
):
    monkeypatch.chdir(tmp_path)
    net, x = images
    path = saved(net, x, tmp_path / "net.onnx")
    before = path.read_bytes()
    found, _, err = command("prune", "net.onnx", "--keep", "0.5", *arguments)
    assert found == code
    assert words in " ".join(err.replace("│", " ").split())
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.onnx"]
