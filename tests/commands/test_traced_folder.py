"""Folders of families without a row: through transformers, and into what it reads where it can."""

import errno
import functools
import json
import shutil
import sys
from dataclasses import replace
from html import unescape

import pytest
import torch
from test_cli import run
from tiny_transformers import _TEXT, transformers

import coreprune
from coreprune.commands.traced_folder import save_traced
from coreprune.shells.hf_folder.families import family_of
from coreprune.shells.hf_folder.pretrained import example_inputs_of


def deberta():
    return transformers.DebertaV2Model(transformers.DebertaV2Config(**_TEXT))


def one_layer():
    return transformers.DebertaV2Model(
        transformers.DebertaV2Config(**_TEXT | {"num_hidden_layers": 1})
    )


def convnext():
    """Two widths, and no entry of the config for either."""
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=16
    )
    return transformers.ConvNextModel(config)


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def built(make):
    torch.manual_seed(0)
    return make().eval()


@functools.cache
def result_of(make):
    """Pruned once for all tests: tracing takes seconds."""
    model = built(make)
    return coreprune.prune(model, example_inputs_of(model), keep=0.5)


def saved(make, tmp_path):
    model = built(make)
    assert family_of(model.config.model_type) is None
    model.save_pretrained(tmp_path / "big")
    (tmp_path / "big" / "tokenizer.json").write_text("{}")
    return tmp_path / "big"


def test_where_the_config_has_the_width_transformers_reads_it(tmp_path):
    source = saved(deberta, tmp_path)
    small, result = tmp_path / "small", result_of(deberta)
    told = save_traced(result, source, small)
    assert (
        told
        == f"transformers reads it: transformers.DebertaV2Model.from_pretrained({str(small)!r})"
    )
    assert json.loads((small / "config.json").read_text())["intermediate_size"] == 12
    assert {path.name for path in small.iterdir()} == {
        "config.json", "coreprune.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    read, info = transformers.AutoModel.from_pretrained(small, output_loading_info=True)
    assert not any(info.values()), info
    x = example_inputs_of(read)
    with torch.no_grad():
        assert torch.equal(read.eval()(*x)[0], result.model.eval()(*x)[0])
    own = coreprune.load(small, into=deberta()).eval()
    with torch.no_grad():
        assert torch.equal(own(*x)[0], read(*x)[0])


def test_where_it_has_not_coreprune_reads_it(tmp_path):
    source = saved(convnext, tmp_path)
    small, result = tmp_path / "small", result_of(convnext)
    told = save_traced(result, source, small)
    assert (small / "config.json").read_bytes() == (source / "config.json").read_bytes()
    assert not (small / "model.safetensors").exists()
    code = told.partition("load it with ")[2]
    loaded = eval(code, {"coreprune": coreprune, "transformers": transformers})  # as it is told
    states = loaded.state_dict(), result.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_an_entry_that_only_looks_like_the_width_is_put_back(tmp_path):
    source = saved(convnext, tmp_path)
    config = source / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"mlp_pixels": 32}))
    before = config.read_text()
    told = save_traced(result_of(convnext), source, tmp_path / "small")
    assert "coreprune.load" in told
    assert (tmp_path / "small" / "config.json").read_text() == before


def test_widths_that_differ_are_none_of_the_config(tmp_path):
    source, result = saved(deberta, tmp_path), result_of(deberta)
    groups = (result.groups[0], replace(result.groups[1], neurons_after=11))
    told = save_traced(replace(result, groups=groups), source, tmp_path / "small")
    assert "coreprune.load" in told
    assert not (tmp_path / "small" / "model.safetensors").exists()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    source = saved(deberta, tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(coreprune.ArgumentError, match="No space left on device"):
        save_traced(result_of(deberta), source, tmp_path / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_the_commands_take_such_folders(command, tmp_path):
    source, small = saved(one_layer, tmp_path), tmp_path / "small"
    config = source / "config.json"
    own = {"auto_map": {"AutoModel": "own.Model"}}
    config.write_text(json.dumps(json.loads(config.read_text()) | own))
    code, out, err = command("inspect", source)
    assert (code, err) == (0, "")
    assert "encoder.layer.0.intermediate.dense" in out
    options = ("--keep", "0.5", "--method", "magnitude", "--report", tmp_path / "out.html")
    code, out, err = command("prune", source, "-o", small, *options)
    assert (code, err) == (0, "")
    assert "note: config.json names code of its own as auto_map; it was copied, not run" in out
    told = out.splitlines()[-1]
    assert (
        told
        == f"transformers reads it: transformers.DebertaV2Model.from_pretrained({str(small)!r})"
    )
    page = unescape((tmp_path / "out.html").read_text())
    assert told in page
    assert "encoder.layer.0.intermediate.dense" in page
    assert "auto_map" in page
    record = json.loads((small / "coreprune.json").read_text())
    assert any("DebertaV2Model" in note for note in record["notes"])
    code, out, err = command("verify", source, small, "--radius", "1")
    assert (code, err) == (0, "")
    assert "encoder.layer.0.intermediate.dense" in out


def test_refusals_are_one_line(command, tmp_path, monkeypatch):
    source, small = saved(deberta, tmp_path), tmp_path / "small"
    words = ("prune", source, "-o", small, "--keep", "0.5")
    for more, complaint in [
        (("--weights", "w.pt"), "leave --weights out"),
        (("--layers", "1:"), "only for Hugging Face folders of the family table"),
    ]:
        code, _, err = command(*words, *more)
        assert code == 1
        assert complaint in err
        assert err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, err = command(*words)
    assert code == 1
    assert 'pip install "coreprune[hf]"' in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["big"]
