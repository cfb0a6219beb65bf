"""Bad files and places on the command line: one line, exit code 1 or 2, nothing touched."""

import os

import numpy as np
import onnx
import pytest
import torch
from shells.onnx_file.graphs import exported, perceptron
from test_cli import run

import coreprune
from coreprune.shells.onnx_file.writing import write

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with net.onnx, one of its weights large."""
    monkeypatch.chdir(tmp_path)
    write(exported(perceptron(40, 60, 3), (torch.zeros(1, 40),)), tmp_path / "net.onnx")
    return tmp_path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def external(folder, location):
    model = onnx.load(folder / "net.onnx")
    onnx.save(
        model, folder / "bad.onnx", save_as_external_data=True, location="w", size_threshold=9
    )
    model = onnx.load(folder / "bad.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "bad.onnx").write_bytes(model.SerializeToString())


def circle(folder, _):
    model = onnx.load(folder / "net.onnx")
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]
    (folder / "bad.onnx").write_bytes(model.SerializeToString())


def shortened(folder, share):
    whole = (folder / "net.onnx").read_bytes()
    (folder / "bad.onnx").write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    ("spoil", "argument", "words"),
    [
        (lambda folder, png: (folder / "bad.onnx").write_bytes(png), PNG, "is no ONNX file"),
        (lambda folder, text: (folder / "bad.onnx").write_text(text), "hello", "is no ONNX"),
        (shortened, 0.0, "is no ONNX model"),
        (shortened, 0.5, "is no ONNX file"),
        (external, "gone", "is missing, which holds"),
        (external, "../w", "is not inside"),
        (external, "/etc/hostname", "is not inside"),
        (circle, None, "is no valid ONNX model"),
    ],
    ids=["a picture", "a text", "empty", "cut off", "missing", "above", "absolute", "a circle"],
)
@pytest.mark.parametrize("verb", ["inspect", "prune", "verify"])
def test_bad_files_are_refused_in_one_line(command, folder, spoil, argument, words, verb):
    spoil(folder, argument)
    more = {"inspect": (), "prune": ("-o", "small.onnx", "--keep", "0.5")}
    if verb == "verify":
        command("prune", "net.onnx", "-o", "cut.onnx", "--keep", "0.5", "--method", "magnitude")
        more["verify"] = "cut.onnx", "--radius", "1"
    before = content(folder)
    code, out, err = command(verb, "bad.onnx", *more[verb])
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
    assert content(folder) == before


@pytest.mark.parametrize("spelling", ["net.onnx", "./net.onnx", "in/../net.onnx", "link", "hard"])
def test_the_original_is_never_written_over(command, folder, spelling):
    (folder / "in").mkdir()
    if spelling == "link":
        (folder / "link.onnx").symlink_to("net.onnx")
    if spelling == "hard":
        os.link(folder / "net.onnx", folder / "hard.onnx")
    place = spelling if spelling.endswith(".onnx") else f"{spelling}.onnx"
    before = content(folder)
    code, _, err = command("prune", "net.onnx", "-o", place, "--keep", "0.5")
    assert code == 2
    assert "another file than the original" in " ".join(err.replace("│", " ").split())
    assert content(folder) == before


def test_a_link_to_the_original_is_read_and_its_target_spared(command, folder):
    (folder / "link.onnx").symlink_to("net.onnx")
    before = content(folder)
    assert command("prune", "link.onnx", "-o", "net.onnx", "--keep", "0.5")[0] == 2
    assert content(folder) == before
    assert command("prune", "link.onnx", "-o", "small.onnx", "--keep", "0.5")[0] == 0
    assert (folder / "net.onnx").read_bytes() == before["net.onnx"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("taken.onnx", "output taken.onnx exists already; name a new one, or remove it"),
        ("folder.onnx", "output folder.onnx is a folder; name a file in it"),
        ("no/such.onnx", "directory no does not exist; create it first"),
    ],
)
def test_a_place_that_takes_no_new_file_is_refused_before_any_work(command, folder, place, words):
    (folder / "taken.onnx").write_bytes(b"precious")
    (folder / "folder.onnx").mkdir()
    before = content(folder)
    told = command("prune", "missing.onnx", "-o", place, "--keep", "0.5")
    assert told == (1, "", f"coreprune: {words}\n")
    assert content(folder) == before


def test_a_result_saved_again_replaces_its_file(folder):
    (folder / "small.onnx").write_bytes(b"older")
    coreprune.prune("net.onnx", keep=0.5, method="magnitude").save("small.onnx")
    onnx.checker.check_model(onnx.load("small.onnx"))


def test_a_write_that_fails_leaves_what_was_there(command, folder, monkeypatch):
    before = content(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coreprune.shells.onnx_file.writing.write_message", full)
    code, out, err = command("prune", "net.onnx", "-o", "small.onnx", "--keep", "0.5")
    assert (code, out) == (1, "")
    assert "small.onnx cannot be written ([Errno 28] No space left" in err
    assert err.count("\n") == 1
    assert content(folder) == before


def test_arguments_are_called_as_options(command, folder):
    np.save(folder / "rows.npy", np.ones((3, 40), dtype=np.float32))
    _, _, err = command("prune", "net.onnx", "-o", "small.onnx", "--keep", "1.5")
    assert err.startswith("coreprune: --keep must be a number in (0, 1], got 1.5; ")
    assert "--keep 0.5" in err
    for law, words in [
        ("batch_norm", "exporters to ONNX fold them"),
        ("tokens", "needs whole numb"),
    ]:
        _, _, err = command("prune", "net.onnx", "-o", "s.onnx", "--keep", "0.5", "--queries", law)
        assert words in err
        assert err.count("\n") == 1


def test_a_size_budget_says_what_it_came_to(command, folder):
    options = "--flops", "0.5", "--queries", "gaussian"
    _, out, _ = command("prune", "net.onnx", "-o", "small.onnx", *options)
    assert "% of the original's flops are left" in out
