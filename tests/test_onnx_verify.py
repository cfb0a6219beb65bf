"""`verify` and `certify` on .onnx files: what modules get, and refusals."""

import json
from dataclasses import replace

import onnx
import pytest
import torch
from networks import draw, mlp
from test_cli import run
from test_onnx import saved
from torch import nn

import coreprune
from coreprune import ArgumentError, Ball, Box, FileFormatError, Samples
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import KEY
from coreprune.shells.onnx_file.writing import write
from coreprune.verification import verify_saved


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def chain(tmp_path):
    """A module, its file, and both pruned alike."""
    net, x = mlp(6, 40, 20, 3).eval(), draw(4, 6)
    path, law = saved(net, x, tmp_path / "net.onnx"), Samples(draw(400, 6))
    small = coreprune.prune(net, x, keep=0.5, method="magnitude", queries=law)
    result = coreprune.prune(path, x, keep=0.5, method="magnitude", queries=law)
    result.save(tmp_path / "small.onnx")
    return net, small.model, path, tmp_path / "small.onnx"


def tampered(path, change):
    """The same file with another record."""
    made = read(path)
    entry = next(one for one in made.model.metadata_props if one.key == KEY)
    record = json.loads(entry.value)
    change(record)
    entry.value = json.dumps(record)
    write(replace(made, path=None), path)


@pytest.mark.parametrize("space", [Ball(2.0), Box(-1.0, 1.0)], ids=str)
def test_files_have_the_certificate_and_the_attack_of_their_modules(chain, space):
    net, small, path, small_path = chain
    expected = coreprune.certify(net, small, space)
    found = coreprune.certify(path, small_path, space)
    assert found.scope == expected.scope == "network"
    torch.testing.assert_close(found.certificate, expected.certificate, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.attack, expected.attack, rtol=1e-3, atol=1e-6)
    assert bool((found.attack <= found.certificate).all())


def test_a_file_is_certified_against_a_module_and_before_it_is_saved(chain):
    net, small, path, _ = chain
    found = coreprune.certify(net, path, Ball(2.0))
    assert float(found.certificate.amax()) < 1e-3
    result = coreprune.prune(path, keep=0.5, method="magnitude")
    assert coreprune.certify(path, result.model, Ball(2.0)).holds
    assert coreprune.certify(path, small, Ball(2.0)).holds


def test_samples_ask_files_for_classes(chain):
    *_, path, small_path = chain
    found = coreprune.certify(path, small_path, samples=draw(20, 6), radius=0.0)
    assert 0 < found.unchanged <= 1


def test_where_there_is_no_chain_groups_are_certified_as_those_of_modules(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(96, 12), nn.ReLU(), nn.Linear(12, 3),
    )  # fmt: skip
    x = draw(1, 2, 8, 8)
    path = saved(net, x, tmp_path / "net.onnx")
    law = Samples(draw(300, 2, 8, 8))
    small = coreprune.prune(net, x, keep=0.5, method="magnitude", queries=law).model
    result = coreprune.prune(path, x, keep=0.5, method="magnitude", queries=law)
    expected = coreprune.certify(net, small, Ball(2.0), example_inputs=x)
    found = coreprune.certify(path, result.model, Ball(2.0), example_inputs=x)
    assert found.scope == expected.scope
    assert found.space == expected.space
    torch.testing.assert_close(found.certificate, expected.certificate, rtol=1e-4, atol=1e-6)
    assert [one.reason for one in found.groups] == [one.reason for one in expected.groups]
    assert found.holds


def test_the_command_line_verifies_a_file(command, chain):
    *_, path, small = chain
    code, out, err = command("verify", path, small)
    assert (code, err) == (0, "")
    assert all(word in out for word in ("attack", "ratio", "yes, proven again", "scope: network"))
    code, out, _ = command("verify", path, small, "--radius", "1", "--json")
    found = json.loads(out)
    assert (code, found["holds"]) == (0, True)
    assert all(0 < a <= c for a, c in zip(found["attack"], found["certificate"], strict=True))
    assert command("verify", path, small, "--radius", "1", "--input", "3x6")[0] == 0


def test_a_stored_certificate_that_does_not_hold_is_exit_code_one(command, chain):
    *_, path, small = chain
    tampered(small, lambda record: record.update(certificate=1e-3))
    code, _, err = command("verify", path, small)
    assert code == 1
    assert err.startswith("coreprune: the stored certificate of network, 0.001 on the ball of")
    assert err.count("\n") == 1


def test_a_record_of_another_original_is_exit_code_one(command, chain, tmp_path):
    *_, small = chain
    other = saved(mlp(6, 40, 20, 3), draw(4, 6), tmp_path / "other.onnx")
    code, out, err = command("verify", other, small, "--radius", "1")
    assert (code, out) == (1, "")
    assert "the original's tensors are not those that were pruned" in err
    assert "--weights" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("net.onnx", "net.onnx", "has no record of coreprune; pass a file that prune wrote"),
        ("net.onnx", "folder", "must both be .onnx files or neither, got folder for pruned"),
        ("net.onnx", "nowhere.onnx", "nowhere.onnx does not exist"),
        ("wide.onnx", "small.onnx", "must run through the model"),
        ("net.onnx", "cut.onnx", "is no ONNX file"),
        ("net.onnx", "old.onnx", "is not of format 1; update coreprune"),
    ],
)
def test_what_cannot_be_verified_is_refused_in_one_line(
    command, chain, tmp_path, monkeypatch, one, other, words
):
    monkeypatch.chdir(tmp_path)
    saved(mlp(7, 40, 20, 3), draw(4, 7), tmp_path / "wide.onnx")
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "small.onnx").read_bytes()[:-500])
    (tmp_path / "old.onnx").write_bytes((tmp_path / "small.onnx").read_bytes())
    tampered(tmp_path / "old.onnx", lambda record: record.update(format=9))
    code, out, err = command("verify", one, other, "--radius", "1")
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_modules_and_files_of_each_other_are_refused(chain, tmp_path):
    net, _, path, small = chain
    with pytest.raises(ArgumentError, match=r"must both be \.onnx files or neither"):
        verify_saved(net, small, into=mlp(6, 40, 20, 3))
    with pytest.raises(FileFormatError, match="has no record"):
        verify_saved(path, path)


def test_the_record_stays_small_and_the_file_a_valid_model(chain):
    *_, small = chain
    onnx.checker.check_model(onnx.load(small), full_check=True)
