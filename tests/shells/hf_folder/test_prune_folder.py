import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_transformers import MODELS, first_output, tiny, transformers

from coreprune.shells.hf_folder.families import FAMILIES
from coreprune.shells.hf_folder.prune_folder import prune_folder


def saved(name, folder, **how):
    model = tiny(name)
    model.save_pretrained(folder, **how)
    return model


def test_every_family_of_the_table_is_tested():
    types = {name.split(" ")[0] for name in MODELS}
    assert types == {name for family in FAMILIES for name in family.model_types}


@pytest.mark.parametrize("name", MODELS)
def test_transformers_reads_a_smaller_model(name, tmp_path):
    original = saved(name, tmp_path / "big")
    result = prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    small, info = type(original).from_pretrained(tmp_path / "small", output_loading_info=True)
    assert not any(info.values()), info
    assert result.blocks
    assert all(2 * block.neurons_after == block.neurons_before for block in result.blocks)
    count = sum(parameter.numel() for parameter in small.parameters())
    assert count < sum(parameter.numel() for parameter in original.parameters())
    assert first_output(small.eval(), name).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_the_original_with_zeros_for_what_is_gone(name, tmp_path):
    """The cut tensors, put back at full width, give what the small model gives."""
    original = saved(name, tmp_path / "big")
    result = prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    small = type(original).from_pretrained(tmp_path / "small").eval()
    padded = padded_tensors(tmp_path, result)
    (tmp_path / "padded").mkdir()
    config = (tmp_path / "big" / "config.json").read_text()
    (tmp_path / "padded" / "config.json").write_text(config)
    save_file(padded, tmp_path / "padded" / "model.safetensors", metadata={"format": "pt"})
    wide = type(original).from_pretrained(tmp_path / "padded").eval()
    expected, found = first_output(wide, name), first_output(small, name)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, first_output(original, name), rtol=1e-4, atol=1e-4)


def padded_tensors(tmp_path, result):
    """The original's tensors with the pruned ones scattered into them, found by shape alone."""
    big = load_file(tmp_path / "big" / "model.safetensors")
    small = load_file(tmp_path / "small" / "model.safetensors")
    assert big.keys() == small.keys()
    for name, tensor in small.items():
        if tensor.shape == big[name].shape:
            big[name] = tensor
            continue
        sizes = enumerate(zip(tensor.shape, big[name].shape, strict=True))
        (axis,) = [number for number, (after, before) in sizes if after != before]
        block = block_of(name, result)
        kept = torch.tensor(block.kept)
        if big[name].shape[axis] == 2 * block.neurons_before:
            kept = torch.cat([kept, kept + block.neurons_before])
        rows = big[name].index_select(axis, kept)
        if torch.equal(rows, tensor):
            continue  # incoming rows stay, so that only outgoing weights decide
        big[name] = torch.zeros_like(big[name]).index_copy(axis, kept, tensor)
    return big


def block_of(tensor, result):
    """The record whose name shares most with a tensor's."""

    def shared(block):
        return next(
            (i for i, (a, b) in enumerate(zip(block.name, tensor, strict=False)) if a != b),
            min(len(block.name), len(tensor)),
        )

    return max(result.blocks, key=shared)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_keeping_everything_changes_no_tensor(name, tmp_path):
    saved(name, tmp_path / "big")
    result = prune_folder(tmp_path / "big", tmp_path / "small", keep=1.0)
    big, small = (load_file(tmp_path / one / "model.safetensors") for one in ("big", "small"))
    assert big.keys() == small.keys()
    assert all(torch.equal(big[key], small[key]) for key in big)
    assert result.blocks == ()
    assert result.parameters_before == result.parameters_after


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_dtypes_stay(dtype, tmp_path):
    tiny("llama").to(dtype).save_pretrained(tmp_path / "big")
    prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    small = load_file(tmp_path / "small" / "model.safetensors")
    assert {tensor.dtype for tensor in small.values()} == {dtype}


def test_tied_tensors_stay_tied(tmp_path):
    saved("llama", tmp_path / "big")
    prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    small = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "small")
    assert small.lm_head.weight is small.model.embed_tokens.weight
    assert "lm_head.weight" not in load_file(tmp_path / "small" / "model.safetensors")


def test_shards_stay_shards(tmp_path):
    original = saved("llama", tmp_path / "big", max_shard_size="6KB")
    names = {path.name for path in (tmp_path / "big").glob("*.safetensors")}
    assert len(names) > 2
    prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5)
    assert {path.name for path in (tmp_path / "small").glob("*.safetensors")} == names
    index = json.loads((tmp_path / "small" / "model.safetensors.index.json").read_text())
    sizes = [t.numel() * 4 for name in names for t in load_file(tmp_path / "small" / name).values()]
    assert index["metadata"]["total_size"] == sum(sizes)
    single = tmp_path / "single"
    original.save_pretrained(single)
    prune_folder(single, tmp_path / "other", keep=0.5)
    together = {}
    for name in names:
        together |= load_file(tmp_path / "small" / name)
    other = load_file(tmp_path / "other" / "model.safetensors")
    assert all(torch.equal(other[name], together[name]) for name in other)


def test_a_fresh_process_reads_it(tmp_path):
    saved("bert", tmp_path / "bert")
    saved("llama", tmp_path / "llama")
    for name in ("bert", "llama"):
        prune_folder(tmp_path / name, tmp_path / f"small-{name}", keep=0.5)
    code = (
        "import sys; from transformers import AutoModel; "
        "print(*(AutoModel.from_pretrained(p).config.intermediate_size for p in sys.argv[1:]))"
    )
    paths = [str(tmp_path / f"small-{name}") for name in ("bert", "llama")]
    run = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["12", "12"]
