from dataclasses import asdict, replace

import pytest
import torch
from tiny_transformers import tiny

from coreprune.core.coreset import METHODS
from coreprune.errors import UnsupportedModelError
from coreprune.queries.normalised import BehindNorms
from coreprune.shells.hf_folder import cutting
from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.cutting import Wish, cut_block
from coreprune.shells.hf_folder.records import record_from_json
from coreprune.shells.hf_folder.weights import find_weights

WISH = Wish(method="optimal", queries=BehindNorms(), seed=0)


def first_block(name, folder, dtype=torch.float32):
    tiny(name).to(dtype).save_pretrained(folder)
    weights = find_weights(folder)
    block = find_blocks(read_config(folder), weights)[0]
    return block, weights.read(block.tensors)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "importance"])
@pytest.mark.parametrize("name", ["bert", "llama", "gpt2", "phi3"])
def test_certificates_cover_what_was_seen(name, method, tmp_path):
    block, tensors = first_block(name, tmp_path)
    found = cut_block(block, tensors, num_neurons=10, wish=replace(WISH, method=method)).record
    assert 0 < found.largest_seen <= found.certificate <= found.certificate_norm
    assert len(found.kept) == found.neurons_after == 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_what_is_certified_is_what_is_stored(dtype, tmp_path):
    """Rounding the weights is part of the change, so that certificates grow by it."""
    exact, coarse = (
        cut_block(*first_block("llama", tmp_path / str(one), one), num_neurons=23, wish=WISH).record
        for one in (torch.float64, dtype)
    )
    assert coarse.certificate > exact.certificate
    assert coarse.largest_seen <= coarse.certificate


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_closed_form_and_queries_choose_about_equally_well(name, tmp_path):
    block, tensors = first_block(name, tmp_path)
    drawn = replace(WISH, queries=BehindNorms(per_neuron=2000))
    closed, sampled = (
        cut_block(block, tensors, num_neurons=12, wish=wish).record for wish in (WISH, drawn)
    )
    # In 16 dimensions the sphere is far from Gaussian: of errors, not of digits.
    assert closed.expected_error == pytest.approx(sampled.expected_error, rel=0.3)


def test_draws_depend_on_the_seed_and_the_block_alone(tmp_path):
    block, tensors = first_block("bert", tmp_path)
    wish = replace(WISH, method="priority")
    records = [cut_block(block, tensors, num_neurons=10, wish=wish).record for _ in range(2)]
    assert records[0] == records[1]
    others = [
        cut_block(one, tensors, num_neurons=10, wish=replace(wish, seed=seed)).record
        for one, seed in ((block, 1), (replace(block, name="another"), 0))
    ]
    assert all(other.kept != records[0].kept for other in others)


def test_rows_that_stay_are_the_same_bits(tmp_path):
    block, tensors = first_block("llama", tmp_path, torch.bfloat16)
    cut = cut_block(block, tensors, num_neurons=12, wish=WISH)
    kept = torch.tensor(cut.record.kept)
    for name in (block.gate, block.up):
        assert torch.equal(cut.tensors[name], tensors[name][kept])


def test_rows_that_went_astray_are_found(tmp_path, monkeypatch):
    block, tensors = first_block("bert", tmp_path)
    right = cutting.cut_tensors

    def astray(*args):
        found = right(*args)
        return found | {block.gate: found[block.gate].flip(0)}

    monkeypatch.setattr(cutting, "cut_tensors", astray)
    with pytest.raises(UnsupportedModelError, match="does not compute the same"):
        cut_block(block, tensors, num_neurons=10, wish=WISH)


def test_records_come_back_from_json(tmp_path):
    block, tensors = first_block("bert", tmp_path)
    record = cut_block(block, tensors, num_neurons=10, wish=WISH).record
    assert record_from_json(asdict(record)) == record
