import math

import pytest
from safetensors.torch import load_file
from tiny_transformers import MODELS, tiny

import coreprune
from coreprune.errors import ArgumentError


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2", "phi3", "qwen2_moe", "t5"])
def test_reachable_is_what_pruning_to_the_last_neuron_would_save(name, tmp_path):
    """From the tensors themselves: what is left at one neuron is the rest plus one neuron each."""
    tiny(name).save_pretrained(tmp_path / "big")
    found = coreprune.inspect_folder(tmp_path / "big")
    least = min(block.neurons for block in found.blocks)
    result = coreprune.prune_folder(tmp_path / "big", tmp_path / "small", keep=1 / least)
    each = sum(
        block.parameters // block.neurons * width
        for block, width in zip(
            found.blocks, (record.neurons_after for record in result.blocks), strict=True
        )
    )
    rest = sum(part.parameters for part in found.whole)
    assert result.parameters_after == rest + each
    assert found.parameters == result.parameters_before
    assert found.reachable == pytest.approx(1 - rest / found.parameters)


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_told_of_once(name, tmp_path):
    tiny(name).save_pretrained(tmp_path / "big")
    found = coreprune.inspect_folder(tmp_path / "big")
    tensors = load_file(tmp_path / "big" / "model.safetensors")
    told = sum(part.parameters for part in found.whole)
    told += sum(block.parameters for block in found.blocks)
    assert told == sum(math.prod(tensor.shape) for tensor in tensors.values())


def test_what_stays_whole_has_its_reason(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big")
    found = coreprune.inspect_folder(tmp_path / "big")
    reasons = {part.name: part.reason for part in found.whole}
    attention = reasons["bert.encoder.layer.*.attention.self.query"]
    assert attention == "attention, whose heads are not cut"
    stream = "on the residual stream, whose width is not cut"
    assert reasons["bert.embeddings.word_embeddings"] == stream
    assert reasons["bert.encoder.layer.*.output.dense.bias"] == stream
    assert [part.parameters for part in found.whole] == sorted(
        (part.parameters for part in found.whole), reverse=True
    )


def test_blocks_are_told_as_the_config_has_them(tmp_path):
    tiny("gemma").save_pretrained(tmp_path / "big")
    first = coreprune.inspect_folder(tmp_path / "big").blocks[0]
    assert (first.name, first.layer) == ("model.layers.0.mlp.gate_proj", 0)
    assert (first.neurons, first.inputs, first.gated) == (24, 16, True)
    assert (first.norm, first.dtype) == ("RMSNorm", "F32")
    assert str(first).endswith("24 gated neurons, gelu_pytorch_tanh, behind RMSNorm")


def test_functions_for_modules_name_those_for_folders(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big")
    with pytest.raises(ArgumentError, match=r"call coreprune\.prune_folder\(source, target"):
        coreprune.prune(str(tmp_path / "big"), keep=0.5)
    with pytest.raises(ArgumentError, match=r"and coreprune\.inspect_folder"):
        coreprune.inspect(tmp_path / "big")
