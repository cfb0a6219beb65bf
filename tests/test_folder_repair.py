import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_transformers import first_output, save_tokenizer, tiny

from coreprune.errors import ArgumentError, FileFormatError
from coreprune.folder_repair import repair_folder
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.repair import Repair
from coreprune.shells.hf_folder.prune_folder import prune_folder
from coreprune.shells.hf_folder.verify_folder import verify_folder

SHORT = Repair(steps=40, learning_rate=1e-3, check_every=10)


def pruned(name, folder, dtype=torch.float32):
    model = tiny(name).to(dtype)
    model.save_pretrained(folder / "big")
    save_tokenizer(folder / "big")
    return model, prune_folder(folder / "big", folder / "small", keep=0.5)


def repaired(folder, settings=SHORT, **how):
    places = (folder / name for name in ("big", "small", how.pop("target", "better")))
    return repair_folder(*places, settings=settings, **how)


def stored(folder, name):
    return load_file(folder / name / "model.safetensors")


@pytest.mark.parametrize("name", ["bert", "llama", "phi3", "gpt2", "t5 gated"])
def test_the_model_comes_nearer_to_the_original(name, tmp_path):
    model, _ = pruned(name, tmp_path)
    found = repaired(tmp_path)
    assert found.repair.loss_after < found.repair.loss_before
    wanted = first_output(model, name)
    apart = []
    for folder in ("small", "better"):
        small, info = type(model).from_pretrained(tmp_path / folder, output_loading_info=True)
        assert not any(info.values()), info
        apart.append(float((first_output(small.eval(), name) - wanted).square().mean()))
    assert apart[1] < apart[0]


def test_only_the_blocks_that_were_cut_are_trained(tmp_path):
    pruned("bert", tmp_path)
    repaired(tmp_path)
    before, after = (stored(tmp_path, name) for name in ("small", "better"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    parts = ("intermediate.dense", "output.dense")
    assert changed == {
        f"bert.encoder.layer.{layer}.{part}.{end}"
        for layer in range(2)
        for part in parts
        for end in ("weight", "bias")
    }
    names = [sorted(p.name for p in (tmp_path / one).iterdir()) for one in ("small", "better")]
    assert names[0] == names[1]


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_certificates_are_those_of_the_trained_blocks(name, tmp_path):
    _, cut = pruned(name, tmp_path)
    found = repaired(tmp_path)
    for before, after in zip(cut.blocks, found.blocks, strict=True):
        assert before.kept == after.kept
        assert after.certificate != before.certificate
        assert 0 < after.largest_seen <= after.certificate <= after.certificate_norm
    proven = verify_folder(tmp_path / "big", tmp_path / "better")
    assert proven.holds, proven.failure


def test_dtypes_stay(tmp_path):
    pruned("llama", tmp_path, torch.bfloat16)
    found = repaired(tmp_path)
    before, after = (stored(tmp_path, name) for name in ("small", "better"))
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert all(block.largest_seen <= block.certificate for block in found.blocks)
    trained = {name for name in after if not torch.equal(before[name], after[name])}
    assert trained
    assert all("mlp" in name for name in trained)  # nothing was written beside its place


def test_what_is_written_is_what_was_trained(tmp_path):
    """A second repair on the same queries begins with the loss that the first ended with."""
    pruned("bert", tmp_path)
    found = repaired(tmp_path)
    once = Repair(steps=1)
    places = (tmp_path / name for name in ("big", "better", "again"))
    again = repair_folder(*places, settings=once)
    assert again.repair.loss_before == pytest.approx(found.repair.loss_after, rel=1e-4)


def test_what_was_done_is_in_the_record(tmp_path):
    pruned("bert", tmp_path)
    found = repaired(tmp_path, queries=Tokens(length=5), seed=3)
    record = json.loads((tmp_path / "better" / "coreprune.json").read_text())
    assert record["repair"]["law"] == found.law == "random tokens, 5 in a sequence"
    assert record["repair"]["seed"] == 3
    assert record["repair"]["steps"] == 40
    assert [one["certificate"] for one in record["blocks"]] == [
        block.certificate for block in found.blocks
    ]


def test_the_seed_decides(tmp_path):
    pruned("bert", tmp_path)
    for target, seed in (("one", 0), ("again", 0), ("other", 1)):
        repaired(tmp_path, target=target, seed=seed)
    one, again, other = (stored(tmp_path, name) for name in ("one", "again", "other"))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_sentences_teach_as_well(tmp_path):
    pruned("bert", tmp_path)
    few = Repair(steps=20, held_back=1, learning_rate=1e-3)
    found = repaired(tmp_path, few, queries=Sentences(["a plane flies", "the man", "a high flute"]))
    assert found.repair.steps == 20
    with pytest.raises(ArgumentError, match="more than the 4 batches"):
        repaired(tmp_path, queries=Sentences(["a man"]), target="another")


def test_folders_that_do_not_belong_together_are_told(tmp_path):
    pruned("bert", tmp_path)
    tiny("llama").save_pretrained(tmp_path / "llama")
    with pytest.raises(FileFormatError, match="was not made from"):
        repair_folder(tmp_path / "llama", tmp_path / "small", tmp_path / "new", settings=SHORT)
    with pytest.raises(FileFormatError, match=r"coreprune\.json"):
        repair_folder(tmp_path / "big", tmp_path / "big", tmp_path / "new", settings=SHORT)
    assert not (tmp_path / "new").exists()
