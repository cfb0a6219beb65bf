import json

import pytest
from safetensors.torch import load_file, save_file
from tiny_transformers import tiny

from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.weights import find_weights


def blocks_of(name, folder, **how):
    tiny(name).save_pretrained(folder, **how)
    return find_blocks(read_config(folder), find_weights(folder))


def test_every_expert_is_a_block(tmp_path):
    blocks = blocks_of("mixtral", tmp_path)
    prefix = "model.layers.{}.block_sparse_moe.experts.{}.w1"
    wanted = [prefix.format(layer, expert) for layer in range(2) for expert in range(2)]
    assert [block.name for block in blocks] == wanted
    assert {block.norm for block in blocks} == {
        f"model.layers.{layer}.post_attention_layernorm.weight" for layer in range(2)
    }


def test_experts_shared_experts_and_dense_layers_have_widths_of_their_own(tmp_path):
    blocks = blocks_of("qwen2_moe", tmp_path)
    assert {(block.kind.width, block.layer, block.neurons) for block in blocks} == {
        ("moe_intermediate_size", 0, 16),
        ("shared_expert_intermediate_size", 0, 24),
        ("intermediate_size", 1, 24),
    }


def test_both_stacks_of_t5_are_found(tmp_path):
    names = [block.name for block in blocks_of("t5", tmp_path)]
    assert names == [
        f"{stack}.block.{layer}.layer.{place}.DenseReluDense.wi"
        for stack, place in (("encoder", 1), ("decoder", 2))
        for layer in range(2)
    ]


def test_layers_are_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    import tiny_transformers

    config, model, sizes = tiny_transformers.MODELS["bert"]
    deep = (config, model, sizes | {"num_hidden_layers": 11})
    monkeypatch.setitem(tiny_transformers.MODELS, "bert", deep)
    assert [block.layer for block in blocks_of("bert", tmp_path)] == list(range(11))


@pytest.mark.parametrize(
    ("name", "norm"), [("opt", "final_layer_norm"), ("opt after", "self_attn_layer_norm")]
)
def test_the_norm_before_the_block_depends_on_the_config(name, norm, tmp_path):
    assert all(block.norm.endswith(f"{norm}.weight") for block in blocks_of(name, tmp_path))


def test_norms_with_names_of_old_are_found(tmp_path):
    blocks = blocks_of("bert", tmp_path)
    path = tmp_path / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in load_file(path).items()
    }
    save_file(old, path)
    again = find_blocks(read_config(tmp_path), find_weights(tmp_path))
    assert [block.name for block in again] == [block.name for block in blocks]
    assert {block.norm.rsplit(".", 1)[1] for block in again} == {"gamma"}
    assert {block.norm_bias.rsplit(".", 1)[1] for block in again} == {"beta"}


def test_configs_may_leave_out_what_has_a_default(tmp_path):
    blocks = blocks_of("t5", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["feed_forward_proj"], config["num_decoder_layers"]
    path.write_text(json.dumps(config))
    again = find_blocks(read_config(tmp_path), find_weights(tmp_path))
    assert again == blocks
    assert {block.activation for block in again} == {"relu"}


@pytest.mark.parametrize(
    ("name", "entry", "given", "meant"),
    [
        ("gemma", "hidden_act", "gelu", "gelu_pytorch_tanh"),
        ("t5 gated", "feed_forward_proj", "gated-gelu", "gelu_new"),
        ("bert", "hidden_act", "gelu", "gelu"),
    ],
)
def test_some_families_mean_another_activation_than_they_name(name, entry, given, meant, tmp_path):
    tiny(name).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: given}))
    blocks = find_blocks(read_config(tmp_path), find_weights(tmp_path))
    assert {block.activation for block in blocks} == {meant}
