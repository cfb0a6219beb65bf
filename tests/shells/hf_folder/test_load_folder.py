import pytest
import torch
from safetensors.torch import load_file
from tiny_transformers import first_output, tiny, transformers

import coreprune
from coreprune.errors import ArgumentError


def uneven(tmp_path, name):
    model = tiny(name)
    model.save_pretrained(tmp_path / "big")
    coreprune.prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, layers=[1])
    return model, type(model)(model.config).eval()


@pytest.mark.parametrize(
    "name", ["bert", "distilbert", "gpt2", "opt", "t5 gated", "llama", "gemma2", "phi3"]
)
def test_uneven_widths_are_loaded_into_the_original_s_class(name, tmp_path):
    """One layer was cut, and the network says what it says with that layer's tensors alone."""
    model, fresh = uneven(tmp_path, name)
    untouched = first_output(model, name)
    loaded = coreprune.load(tmp_path / "small", into=fresh)
    assert loaded is fresh
    stored = load_file(tmp_path / "small" / "model.safetensors")
    count = sum(tensor.numel() for tensor in stored.values() if tensor.is_floating_point())
    assert sum(parameter.numel() for parameter in fresh.parameters()) == count
    found = first_output(fresh, name)
    assert found.shape == untouched.shape
    assert not torch.equal(found, untouched)
    own = fresh.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in stored.items())


def test_even_widths_are_loaded_as_transformers_does(tmp_path):
    model = tiny("llama")
    model.save_pretrained(tmp_path / "big")
    coreprune.prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    own = coreprune.load(tmp_path / "small", into=type(model)(model.config)).eval()
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "small").eval()
    assert torch.equal(first_output(own, "llama"), first_output(theirs, "llama"))


def test_the_base_model_s_prefix_may_be_missing(tmp_path):
    model, _ = uneven(tmp_path, "llama")
    base = transformers.LlamaModel(model.config)
    coreprune.load(tmp_path / "small", into=base)
    assert base.layers[1].mlp.up_proj.out_features == 12
    assert base.layers[0].mlp.up_proj.out_features == 24


def test_what_does_not_fit_is_listed_and_nothing_is_changed(tmp_path):
    uneven(tmp_path, "bert")
    other = tiny("llama")
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(ArgumentError, match=r"q_proj.weight is missing from the folder.*renames"):
        coreprune.load(tmp_path / "small", into=other)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
    config = transformers.BertConfig(**(tiny("bert").config.to_dict() | {"hidden_size": 8}))
    with pytest.raises(ArgumentError, match=r"word_embeddings.weight has shape \(32, 8\)"):
        coreprune.load(tmp_path / "small", into=transformers.BertForMaskedLM(config))
