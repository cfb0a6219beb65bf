import json
import signal
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from tiny_transformers import _TEXT, MODELS, save_tokenizer, tiny, transformers

from coreprune.core.feed_forward import neurons
from coreprune.core.moments import MomentSum
from coreprune.errors import UnsupportedModelError
from coreprune.progress import silent
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder import seen as module
from coreprune.shells.hf_folder.blocks import find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.prune_folder import prune_folder
from coreprune.shells.hf_folder.seen import seen_by_blocks
from coreprune.shells.hf_folder.sequences import sentence_sequences
from coreprune.shells.hf_folder.stored import feed_forward
from coreprune.shells.hf_folder.transformer import modules_named, transformer_of, watching
from coreprune.shells.hf_folder.weights import find_weights

TEXTS = Sentences(["a plane flies high", "the man plays the flute", "a man", "the plane flies"])
WITHOUT_TOKENS = {"vit", "deit"}
FUSED = {"mixtral", "qwen2_moe", "qwen3_moe"}
"""Of whose experts transformers makes one layer."""


def saved(name, folder):
    tiny(name).save_pretrained(folder)
    save_tokenizer(folder)
    weights = find_weights(folder)
    return find_blocks(read_config(folder), weights), weights


def seen(blocks, folder, queries, *, seed=0):
    found = seen_by_blocks(blocks, folder, queries, wanted=300, seed=seed, tell=silent)
    return {block.name: one for block, one in found}


@pytest.mark.parametrize("name", [one for one in MODELS if one not in WITHOUT_TOKENS | FUSED])
def test_moments_are_those_of_the_neurons(name, tmp_path):
    """What the core makes of the inputs of each block, sentence by sentence."""
    blocks, weights = saved(name, tmp_path)
    model, sums = transformer_of(tmp_path), {block.name: MomentSum() for block in blocks}
    wholes = {block.name: feed_forward(block, weights.read(block.tensors)) for block in blocks}
    names = {block.name: block.gate.removesuffix(".weight") for block in blocks}
    modules = modules_named(model, names.values())
    by_block = {block: modules[gate] for block, gate in names.items()}

    def see(block, rows):
        sums[block].add(neurons(wholes[block], rows.double()))

    with watching(by_block, see), torch.no_grad():
        for ids in sentence_sequences(TEXTS, tmp_path, batch=1):
            model(ids)
    found = seen(blocks, tmp_path, TEXTS)
    for block, total in sums.items():
        wanted = total.moments()
        assert found[block].rows == total.count
        scale = wanted.covariance.diagonal().max()
        torch.testing.assert_close(found[block].moments.mean, wanted.mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            found[block].moments.covariance / scale, wanted.covariance / scale, rtol=0, atol=1e-4
        )


def test_memory_for_few_blocks_takes_more_passes_to_the_same_moments(tmp_path, monkeypatch):
    blocks, _ = saved("bert", tmp_path)
    together = seen(blocks, tmp_path, Tokens())
    monkeypatch.setattr(module, "AT_ONCE", 1)
    apart = seen(blocks, tmp_path, Tokens())
    for name, one in together.items():
        assert one.rows >= 300
        assert torch.equal(one.moments.covariance, apart[name].moments.covariance)


def test_tokens_depend_on_the_seed(tmp_path):
    blocks, _ = saved("bert", tmp_path)
    one, again, other = (seen(blocks[:1], tmp_path, Tokens(), seed=seed) for seed in (0, 0, 1))
    name = blocks[0].name
    assert torch.equal(one[name].moments.mean, again[name].moments.mean)
    assert not torch.equal(one[name].moments.mean, other[name].moments.mean)


@pytest.mark.parametrize(
    ("name", "words"), [("vit", "does not read tokens"), ("mixtral", "without layers of their own")]
)
def test_models_that_cannot_be_run_so_are_refused(name, words, tmp_path):
    tiny(name).save_pretrained(tmp_path / "big")
    with pytest.raises(UnsupportedModelError, match=words):
        prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, queries=Tokens())
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_missing_tensors_are_not_made_up(tmp_path):
    blocks, _ = saved("bert", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="no tensors for"):
        seen(blocks, tmp_path, Tokens())


def test_no_code_of_the_folder_runs(tmp_path):
    saved("bert", tmp_path / "big")
    config = json.loads((tmp_path / "big" / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    (tmp_path / "big" / "config.json").write_text(json.dumps(config))
    (tmp_path / "big" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, queries=Tokens())
    assert not (tmp_path / "ran").exists()


def test_the_law_decides_what_stays(tmp_path):
    saved("bert", tmp_path / "big")
    laws = {"norms": None, "tokens": Tokens(), "texts": TEXTS}
    results = {
        name: prune_folder(tmp_path / "big", tmp_path / name, keep=0.5, queries=law)
        for name, law in laws.items()
    }
    files = [load_file(tmp_path / name / "model.safetensors") for name in laws]
    down = "bert.encoder.layer.0.output.dense.weight"
    assert not any(torch.equal(one[down], two[down]) for one, two in pairwise(files))
    assert results["tokens"].law.startswith("random tokens, and for a share of 0.2 normalised")
    assert results["texts"].law == "the 4 sentences given"
    assert [one.blocks[0].rows for one in results.values()][2] == 22
    assert any("fewer tokens than neurons" in note for note in results["texts"].notes)
    assert not results["tokens"].notes


def test_a_stopped_run_goes_on_to_the_same_folder(tmp_path, monkeypatch):
    saved("bert", tmp_path / "big")
    prune_folder(tmp_path / "big", tmp_path / "whole", keep=0.5, queries=Tokens())

    def stop(what, done, of):
        if (what, done) == ("pruning blocks", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_folder(
            tmp_path / "big", tmp_path / "resumed", keep=0.5, queries=Tokens(), progress=stop
        )
    prune_folder(tmp_path / "big", tmp_path / "resumed", keep=0.5, queries=Tokens())
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2}


def test_threads_of_torch_outside_change_nothing(tmp_path):
    """Of a model whose sums torch shares between threads."""
    config = transformers.BertConfig(**(_TEXT | WIDE))
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(tmp_path / "big")
    before, seen = torch.get_num_threads(), []

    def told(what, *_):
        if what == "running the model":
            seen.append(torch.get_num_threads())

    how = {"keep": 0.5, "method": "priority", "queries": Tokens(), "progress": told}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            prune_folder(tmp_path / "big", tmp_path / f"small-{threads}", **how)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
    one, two = (load_file(tmp_path / f"small-{n}" / "model.safetensors") for n in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)


KILLED = """
import os, signal, sys
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder.prune_folder import prune_folder
def told(what, done, of):
    if (what, done) == ("pruning blocks", 1):
        os.kill(os.getpid(), signal.SIGKILL)
prune_folder(sys.argv[1], sys.argv[2], keep=0.5, queries=Tokens(), progress=told)
"""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    saved("bert", tmp_path / "big")
    big, small = tmp_path / "big", tmp_path / "small"
    command = [sys.executable, "-c", KILLED, str(big), str(small)]
    run = subprocess.run(command, check=False, capture_output=True)
    assert run.returncode == -signal.SIGKILL
    assert not small.exists()
    seen = []
    how = {"keep": 0.5, "queries": Tokens()}
    prune_folder(big, small, progress=lambda *told: seen.append(told), **how)
    assert [told for told in seen if told[0] == "pruning blocks"] == [
        ("pruning blocks", done, 2) for done in (1, 2)
    ]
    prune_folder(big, tmp_path / "whole", **how)
    one, other = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (small, tmp_path / "whole")
    )
    assert one == other
