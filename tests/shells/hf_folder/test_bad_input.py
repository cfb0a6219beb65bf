import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_transformers import tiny, transformers

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.queries.normalised import BehindNorms
from coreprune.shells.hf_folder.prune_folder import prune_folder


@pytest.fixture
def source(tmp_path):
    tiny("llama").save_pretrained(tmp_path / "big")
    return tmp_path / "big"


@pytest.fixture
def sharded(tmp_path):
    tiny("llama").save_pretrained(tmp_path / "shards", max_shard_size="6KB")
    return tmp_path / "shards"


def refused(source, error, match, *, keep=0.5, **how):
    target = source.parent / "small"
    with pytest.raises(error, match=match):
        prune_folder(source, target, keep=keep, **how)
    assert not target.exists()
    assert not list(source.parent.glob(".small*"))


def edit(path, **entries):
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | entries))


def test_no_folder(tmp_path):
    (tmp_path / "there").mkdir()
    refused(tmp_path / "not", ArgumentError, "source must be a folder")
    refused(tmp_path / "there", ArgumentError, r"has no config\.json")


def test_a_missing_shard(sharded):
    sorted(sharded.glob("*.safetensors"))[1].unlink()
    refused(sharded, FileFormatError, r"lacks model-00002-of-.*, which .*index\.json names")


def test_an_index_that_names_what_no_shard_holds(sharded):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.strange"] = index["weight_map"]["model.norm.weight"]
    path.write_text(json.dumps(index))
    refused(sharded, FileFormatError, "names model.norm.strange, which")


def test_an_index_that_points_outside_the_folder(sharded):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = "../model.safetensors"
    path.write_text(json.dumps(index))
    refused(sharded, FileFormatError, "must map tensors to files of the folder")


def test_an_index_with_a_name_that_no_file_can_have(sharded):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = "m" * 10_000
    path.write_text(json.dumps(index))
    refused(sharded, FileFormatError, "lacks m+, which")


def test_more_layers_than_memory_could_count(source):
    path = source / "config.json"
    config = json.loads(path.read_text()) | {"num_hidden_layers": 10**15}
    path.write_text(json.dumps(config))
    refused(source, FileFormatError, "num_hidden_layers=1000000000000000, but the tensors have")


def test_a_truncated_shard(sharded):
    path = min(sharded.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    refused(sharded, FileFormatError, "truncated or damaged; fetch it again")


def test_no_safetensors_at_all(source):
    (source / "model.safetensors").write_text("<html>")
    refused(source, FileFormatError, "not a readable safetensors file")
    (source / "model.safetensors").unlink()
    refused(source, ArgumentError, "has neither")


def test_pickles_are_not_opened(source):
    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    refused(source, ArgumentError, r"only pytorch_model\.bin.*save_pretrained")


def test_a_config_that_contradicts_the_tensors(source):
    config = source / "config.json"
    whole = config.read_text()
    edit(config, intermediate_size=32)
    refused(source, FileFormatError, r"intermediate_size=32.*shape \(24, 16\), not \(32, 16\)")
    config.write_text(whole)
    edit(config, num_hidden_layers=3)
    refused(source, FileFormatError, "num_hidden_layers=3, but the tensors .* in layers 0, 1;")
    edit(config, num_hidden_layers=1)
    refused(source, FileFormatError, "num_hidden_layers=1, but the tensors")
    config.write_text(whole)
    edit(config, model_type="bert")
    refused(source, FileFormatError, "says bert, but no tensor is called")
    config.write_text(whole)
    edit(config, intermediate_size="24")
    refused(source, FileFormatError, "positive whole number as intermediate_size")
    edit(config, intermediate_size=24, hidden_act=None)
    refused(source, FileFormatError, "must name the activation as hidden_act")
    config.write_text("{")
    refused(source, FileFormatError, "cannot be read")


def test_an_unknown_family_says_what_it_needs(source):
    edit(source / "config.json", model_type="mamba")
    refused(source, UnsupportedModelError, "model_type 'mamba'.*a row needs the names")


def test_a_bert_with_cross_attention_is_not_in_the_table(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big")
    edit(tmp_path / "big" / "config.json", add_cross_attention=True)
    refused(tmp_path / "big", UnsupportedModelError, "needs add_cross_attention among")


def test_an_unknown_activation(source):
    edit(source / "config.json", hidden_act="xielu")
    refused(source, UnsupportedModelError, "names the activation 'xielu'; known are")


def test_quantised_weights(source):
    edit(source / "config.json", quantization_config={"quant_method": "fp8"})
    refused(source, UnsupportedModelError, "quantization_config; prune the unquantised model")
    config = json.loads((source / "config.json").read_text())
    del config["quantization_config"]
    (source / "config.json").write_text(json.dumps(config))
    tensors = load_file(source / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name].to(torch.int8)
    save_file(tensors, source / "model.safetensors")
    refused(source, UnsupportedModelError, "up_proj.weight is stored as I8")


def test_weights_that_are_no_numbers(source):
    tensors = load_file(source / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(tensors, source / "model.safetensors")
    refused(source, UnsupportedModelError, "layers.1.mlp.gate_proj .* NaN or infinite")


def test_a_missing_tensor_of_a_block(source):
    tensors = load_file(source / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, source / "model.safetensors")
    refused(source, FileFormatError, "lacks model.layers.1.mlp.up_proj.weight, which")


@pytest.mark.parametrize("keep", [0, 1.5, -0.1, True, "half", float("nan")])
def test_shares_that_are_none(source, keep):
    refused(source, ArgumentError, "keep must be a number in", keep=keep)


def test_arguments_that_break_their_rules(source):
    refused(source, ArgumentError, "keep names model.layers.9", keep={"model.layers.9": 0.5})
    refused(source, ArgumentError, "round_to must be at most the 24 neurons", round_to=32)
    refused(source, ArgumentError, "round_to must be a whole number", round_to=0)
    refused(source, ArgumentError, "layers must be among 0 to 1, got 7", layers=[7])
    refused(source, ArgumentError, "method must be one of", method="best")
    refused(source, ArgumentError, "pass method='priority'", method="importance")
    with pytest.raises(ArgumentError, match=r"per_neuron must be None.* or at least 10, got 3"):
        BehindNorms(per_neuron=3)
    (source.parent / "there").mkdir()
    (source.parent / "there" / "file").write_text("")
    with pytest.raises(ArgumentError, match="exists already"):
        prune_folder(source, source.parent / "there", keep=0.5)


def test_code_in_the_folder_is_not_run(source):
    (source / "modeling_llama.py").write_text("raise SystemExit('run')")
    edit(source / "config.json", auto_map={"AutoModel": "modeling_llama.Llama"})
    result = prune_folder(source, source.parent / "small", keep=0.5)
    assert any("auto_map" in note for note in result.notes)
    assert transformers.LlamaModel.from_pretrained(source.parent / "small")


def test_what_holds_the_original_s_weights_is_left_out(source):
    (source / "tokenizer.json").write_text("{}")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")
    (source / "onnx").mkdir()
    (source / "onnx" / "model.onnx").write_text("old")
    (source / "pytorch_model.bin").write_text("old")
    result = prune_folder(source, source.parent / "small", keep=0.5)
    assert result.left_out == ("onnx/model.onnx", "pytorch_model.bin")
    small = source.parent / "small"
    assert (small / "1_Pooling" / "config.json").read_text() == "{}"
    assert (small / "tokenizer.json").exists()
    assert not (small / "pytorch_model.bin").exists()
    assert not (small / "onnx").exists()


def test_widths_that_differ_are_told(source):
    name = "model.layers.1.mlp.gate_proj"
    result = prune_folder(source, source.parent / "small", keep={name: 0.5})
    assert [block.name for block in result.blocks] == [name]
    assert result.widths == {}
    assert any("widths differ" in note for note in result.notes)
    record = json.loads((source.parent / "small" / "coreprune.json").read_text())
    assert record["block_widths"] == {"model.layers.0.mlp.gate_proj": 24, name: 12}


def test_widths_are_multiples(source):
    result = prune_folder(source, source.parent / "small", keep=0.4, round_to=8)
    assert result.widths == {"intermediate_size": 8}
