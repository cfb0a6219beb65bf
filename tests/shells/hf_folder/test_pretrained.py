import importlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_transformers import tiny, transformers

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.hf_folder.pretrained import example_inputs_of, pretrained


@pytest.fixture
def source(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big")
    return tmp_path / "big"


def edit(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_the_class_that_the_config_names_is_made(source):
    model = pretrained(source)
    assert type(model) is transformers.BertForMaskedLM
    assert not model.training
    stored = load_file(source / "model.safetensors")
    assert all(torch.equal(model.state_dict()[name], stored[name]) for name in stored)


@pytest.mark.parametrize("name", [["NoSuchModel"], ["BertConfig"], None, []], ids=str)
def test_without_one_of_transformers_own_it_is_automodel(source, name):
    edit(source, architectures=name)
    tensors = load_file(source / "model.safetensors")
    tensors = {key.removeprefix("bert."): value for key, value in tensors.items()}
    tensors |= {"pooler.dense.weight": torch.eye(16), "pooler.dense.bias": torch.zeros(16)}
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    assert type(pretrained(source)) is transformers.BertModel


def test_tensors_that_would_be_random_are_refused(source):
    edit(source, architectures=["BertForTokenClassification"])
    with pytest.raises(FileFormatError, match=r"does not hold classifier.bias, classifier.weight"):
        pretrained(source)


def test_code_of_the_folder_is_not_run(source, tmp_path):
    (source / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    edit(source, model_type="own", auto_map={"AutoConfig": "modeling.C", "AutoModel": "modeling.M"})
    with pytest.raises(UnsupportedModelError, match="does not load the folder without code"):
        pretrained(source)
    assert not (tmp_path / "ran").exists()


def test_pickles_are_not_read(source):
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(ArgumentError, match=r"only pytorch_model\.bin, which run code"):
        pretrained(source)


def test_without_transformers_it_says_what_to_install(source, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ArgumentError, match=r"'bert' is in no row.*pip install \"coreprune\[hf\]"):
        pretrained(source)


def test_words_and_bars_of_transformers_come_back(source):
    logging = transformers.utils.logging
    level = logging.get_verbosity()
    logging.enable_progress_bar()
    try:
        pretrained(source)
        assert logging.is_progress_bar_enabled()
    finally:
        logging.disable_progress_bar()
    pretrained(source)
    assert not logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == level


@pytest.mark.parametrize("name", ["bert", "llama", "vit", "opt"])
def test_examples_run_through_the_model(name):
    model = tiny(name)
    examples = example_inputs_of(model)
    assert all(map(torch.equal, examples, example_inputs_of(model)))
    with torch.no_grad():
        assert model(*examples)[0].isfinite().all()


def test_inputs_that_are_not_known_are_asked_for():
    config = transformers.WhisperConfig(
        vocab_size=32, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="takes input_features first; say their shapes"):
        example_inputs_of(transformers.WhisperModel(config))
