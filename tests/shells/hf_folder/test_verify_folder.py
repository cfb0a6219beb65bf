import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_transformers import MODELS, tiny

import coreprune
from coreprune.core.feed_forward import outputs
from coreprune.errors import ArgumentError, FileFormatError
from coreprune.shells.hf_folder import verified_block
from coreprune.shells.hf_folder.attacking import block_attack
from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.stored import feed_forward, law_of
from coreprune.shells.hf_folder.weights import find_weights


def pruned(tmp_path, name="bert", **how):
    tiny(name).save_pretrained(tmp_path / "big")
    coreprune.prune_folder(tmp_path / "big", tmp_path / "small", **({"keep": 0.5} | how))
    return tmp_path / "big", tmp_path / "small"


def edit_record(folder, change):
    path = folder / "coreprune.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def edit_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("name", MODELS)
def test_what_was_just_pruned_holds(name, tmp_path):
    found = coreprune.verify_folder(*pruned(tmp_path, name))
    assert found.holds
    assert found.failure == ""
    assert found.blocks
    for block in found.blocks:
        assert 0 < block.attack <= block.certificate * (1 + 1e-9)
        assert block.proven == pytest.approx(block.certificate, rel=1e-6)


def test_uneven_widths_are_verified_and_whole_blocks_compared(tmp_path):
    big, small = pruned(tmp_path, layers=[1])
    found = coreprune.verify_folder(big, small)
    assert found.holds
    assert len(found.blocks) == 1
    assert found.notes == ("blocks that keep all their neurons are compared tensor by tensor",)
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    edit_tensors(small, lambda tensors: tensors[name].add_(1))
    found = coreprune.verify_folder(big, small)
    assert not found.holds
    assert found.changed == (name,)


def test_a_smaller_claim_is_beaten_or_not_proven(tmp_path):
    big, small = pruned(tmp_path)
    first = coreprune.verify_folder(big, small).blocks[0]
    between = (first.attack + first.certificate) / 2

    def claims(number):
        edit_record(small, lambda record: record["blocks"][0].update(certificate=number))
        return coreprune.verify_folder(big, small)

    found = claims(first.attack * 0.9)
    assert not found.holds
    assert "does not hold: a query reaches" in found.failure
    assert found.blocks[1].holds
    found = claims(between)
    assert not found.holds
    assert "is not proven again" in found.failure


@pytest.mark.parametrize("part", ["output.dense.weight", "output.dense.bias"])
def test_changed_outgoing_weights_are_noticed(part, tmp_path):
    big, small = pruned(tmp_path)
    name = f"bert.encoder.layer.1.{part}"
    edit_tensors(small, lambda tensors: tensors[name].add_(10))
    found = coreprune.verify_folder(big, small)
    assert not found.holds
    assert [block.holds for block in found.blocks] == [True, False]


@pytest.mark.parametrize("name", ["bert", "llama", "phi3"])
def test_rows_that_moved_are_certified_by_how_far(name, tmp_path):
    """What is proven then is what was stored and what the rows moved by."""
    big, small = pruned(tmp_path, name)
    gate = next(
        tensor
        for tensor in load_file(small / "model.safetensors")
        if tensor.endswith(("intermediate.dense.weight", "gate_proj.weight", "gate_up_proj.weight"))
    )
    before = coreprune.verify_folder(big, small).blocks[0]
    edit_tensors(small, lambda tensors: tensors[gate].mul_(1 + 1e-2))
    after = coreprune.verify_folder(big, small).blocks[0]
    assert not after.holds
    assert after.proven > before.proven
    assert after.attack == pytest.approx(before.attack, rel=0.05)


def test_side_by_side_is_above_every_sampled_change(tmp_path, monkeypatch):
    big, small = pruned(tmp_path)
    monkeypatch.setattr(verified_block, "_has_rows", lambda *_: False)
    for block in coreprune.verify_folder(big, small).blocks:
        assert block.proven >= block.attack


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_another_norm_voids_the_certificate(part, tmp_path):
    big, small = pruned(tmp_path)
    name = f"bert.encoder.layer.0.attention.output.LayerNorm.{part}"
    edit_tensors(small, lambda tensors: tensors[name].mul_(1.01))
    found = coreprune.verify_folder(big, small)
    assert "the norm before it" in found.failure
    assert found.changed == (name,)


def test_trained_folders_may_differ_where_nothing_was_cut(tmp_path):
    big, small = pruned(tmp_path)
    edit_record(small, lambda record: record.update(repair={"steps": 1}))
    name = "bert.embeddings.word_embeddings.weight"
    edit_tensors(small, lambda tensors: tensors[name].add_(1))
    found = coreprune.verify_folder(big, small)
    assert found.holds
    assert found.notes == (f"training changed what is not cut as well: {name}",)


def test_the_attack_beats_queries_that_are_only_drawn(tmp_path):
    big, small = pruned(tmp_path)
    weights, cut = find_weights(big), find_weights(small)
    block = find_blocks(read_config(big), weights)[0]
    tensors = weights.read(block.tensors)
    original, smaller = feed_forward(block, tensors), feed_forward(block, cut.read(block.tensors))
    law = law_of(block, tensors)
    reached = block_attack(
        original,
        smaller,
        law=law,
        space=law.space(torch.float32),
        generator=torch.Generator().manual_seed(0),
    )
    x = law.sample(2048, generator=torch.Generator().manual_seed(0))
    drawn = float((outputs(original, x) - outputs(smaller, x)).abs().amax())
    assert reached > 1.01 * drawn


RECORDS = {
    "other format": (lambda r: r.update(format=9), "has format 9, this version reads 1"),
    "no widths": (lambda r: r.pop("block_widths"), "does not tell the widths of blocks"),
    "no blocks": (lambda r: r.pop("blocks"), "does not tell what was done to every block"),
    "kept twice": (
        lambda r: r["blocks"][0]["kept"].__setitem__(1, r["blocks"][0]["kept"][0]),
        "does not tell what was done",
    ),
    "kept beyond": (lambda r: r["blocks"][0]["kept"].__setitem__(-1, 24), "does not tell what"),
    "no number": (lambda r: r["blocks"][0].update(certificate="small"), "does not tell what"),
    "an odd entry": (lambda r: r["blocks"][0].update(colour="red"), "does not tell what"),
    "another model": (
        lambda r: r["block_widths"].update({"some.block": 3}),
        "only one of them has some.block",
    ),
}


@pytest.mark.parametrize(("change", "complaint"), RECORDS.values(), ids=RECORDS)
def test_damaged_records_are_refused(change, complaint, tmp_path):
    big, small = pruned(tmp_path)
    edit_record(small, change)
    with pytest.raises(FileFormatError, match=complaint):
        coreprune.verify_folder(big, small)


def test_folders_that_do_not_belong_together_are_refused(tmp_path):
    big, small = pruned(tmp_path)
    with pytest.raises(ArgumentError, match="target must be a folder that coreprune wrote"):
        coreprune.verify_folder(big, tmp_path / "none")
    with pytest.raises(FileFormatError, match=r"has no coreprune\.json; pass the folder"):
        coreprune.verify_folder(big, big)
    tiny("llama").save_pretrained(tmp_path / "llama")
    with pytest.raises(FileFormatError, match=r"was not made from .* only one of them has"):
        coreprune.verify_folder(tmp_path / "llama", small)
    shutil.copy(big / "model.safetensors", small / "model.safetensors")
    with pytest.raises(FileFormatError, match="does not have the shapes that its coreprune"):
        coreprune.verify_folder(big, small)
