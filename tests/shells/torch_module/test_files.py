import copy
import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors
import torch
from network_asserts import assert_same_outputs, snapshot
from networks import draw, mlp, named, trained_norm
from torch import nn

from coreprune import ArgumentError, FileFormatError, UnsupportedModelError, load, prune
from coreprune.shells.torch_module import files
from coreprune.shells.torch_module.files import tensors_hash


def network():
    torch.manual_seed(0)
    net = named(a=nn.Linear(6, 12), n=trained_norm(12), r=nn.ReLU(), b=nn.Linear(12, 3))
    net.add_module("t", nn.Linear(3, 3))
    net.add_module("u", nn.Linear(3, 3))
    net.u.weight = net.t.weight
    net.n.num_batches_tracked.fill_(41)
    return net


@pytest.fixture(scope="module")
def result():
    return prune(network(), draw(4, 6), keep=0.5)


@pytest.fixture
def saved(result, tmp_path):
    result.save(tmp_path / "small")
    return tmp_path / "small"


def test_saved_and_loaded_everything_is_there(saved, result, monkeypatch):
    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("a pickle was read"))
    fresh = network()
    assert load(saved, into=fresh) is fresh
    assert snapshot(fresh).state == snapshot(result.model).state
    assert fresh.n.num_batches_tracked == 41
    assert fresh.u.weight is fresh.t.weight
    assert (fresh.a.out_features, fresh.n.num_features, fresh.b.in_features) == (6, 6, 6)
    assert_same_outputs(fresh, result.model, [lambda model: model(draw(9, 6))], exact=True)


def test_the_record_tells_what_was_done(saved, result):
    record = json.loads((saved / "coreprune.json").read_text(encoding="utf-8"))
    assert record["groups"][0]["kept"] == list(result.groups[0].kept)
    assert record["shapes"]["a.weight"] == {"original": [12, 6], "pruned": [6, 6]}
    assert record["aliases"] == {"u.weight": "t.weight"}
    assert record["original_hash"] == result.original_hash
    assert {path.name for path in saved.iterdir()} == {"weights.safetensors", "coreprune.json"}


def test_loading_twice_and_into_a_wrapper_works(saved, result):
    once = load(saved, into=network())
    again = load(saved, into=nn.DataParallel(once))
    assert snapshot(again.module).state == snapshot(result.model).state


def test_weights_that_are_views_of_one_tensor_can_be_saved(tmp_path):
    net, both = mlp(6, 12, 6), torch.randn(2, 6)
    net.add_module("s", nn.ParameterList([nn.Parameter(both[0]), nn.Parameter(both[1])]))
    files.save(net, tmp_path / "new", record={}, original=dict.fromkeys(net.state_dict(), ()))
    assert (tmp_path / "new" / "weights.safetensors").exists()


def test_buffers_that_overlap_can_be_saved_and_loaded(tmp_path):
    def overlapping():
        net, buffer = mlp(6, 12, 6), torch.arange(10.0)
        net.register_buffer("all", buffer)
        net.register_buffer("some", buffer[:5])
        return net

    result = prune(overlapping(), draw(4, 6), keep=0.5)
    result.save(tmp_path / "small")
    fresh = load(tmp_path / "small", into=overlapping())
    assert snapshot(fresh).state == snapshot(result.model).state


def test_a_model_without_memory_is_refused(saved):
    fresh = network().to("meta")
    with pytest.raises(UnsupportedModelError, match=r'a\.weight.*to_empty\(device="cpu"\)'):
        load(saved, into=fresh)


def test_an_empty_directory_is_filled(result, tmp_path):
    result.save(tmp_path / "small")
    (tmp_path / "empty").mkdir()
    result.save(str(tmp_path / "empty"))
    assert (tmp_path / "empty" / "coreprune.json").exists()


@pytest.mark.parametrize(
    "error", [OSError("disk full"), safetensors.SafetensorError("disk full"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("step", ["save_file", "json", "replace"])
def test_when_writing_fails_nothing_is_left(result, tmp_path, monkeypatch, step, error):
    def fail(*_, **__):
        raise error

    target = {"save_file": (files, "save_file"), "json": (Path, "write_text")}
    monkeypatch.setattr(*target.get(step, (Path, "replace")), fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ArgumentError
    with pytest.raises(expected):
        result.save(tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(result, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for taken in (tmp_path / "full", tmp_path / "full" / "notes.txt"):
        with pytest.raises(ArgumentError, match="exists already; name a new one"):
            result.save(taken)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_a_missing_parent_is_named(result, tmp_path):
    with pytest.raises(ArgumentError, match="no/where does not exist; create it first"):
        result.save(tmp_path / "no" / "where" / "small")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_named(result, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ArgumentError, match="cannot be written"):
        result.save(tmp_path / "small")


def _cut_short(directory):
    path = directory / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def _rewrite(**changes):
    def change(directory):
        path = directory / "coreprune.json"
        record = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps({k: v for k, v in record.items() if v is not None}))

    return change


def _other_weights(directory):
    safetensors.torch.save_file({"a.weight": torch.zeros(2)}, directory / "weights.safetensors")


DAMAGE = {
    "weights cut short": (_cut_short, "weights.safetensors is not a readable safetensors file"),
    "weights of another run": (_other_weights, "does not belong to the coreprune.json beside it"),
    "no weights": (lambda d: (d / "weights.safetensors").unlink(), "not a readable safetensors"),
    "no record": (lambda d: (d / "coreprune.json").unlink(), "coreprune.json cannot be read"),
    "no JSON": (lambda d: (d / "coreprune.json").write_bytes(b"\xff{"), "cannot be read"),
    "foreign JSON": (lambda d: (d / "coreprune.json").write_text("[1]"), "not a coreprune record"),
    "another format": (_rewrite(format=2), "has format 2, this version reads 1; update"),
    "no hash": (_rewrite(weights_hash=None), "does not belong"),
    "no shapes": (_rewrite(shapes=None), "does not tell the tensors' shapes"),
    "strange shapes": (_rewrite(shapes={"a.weight": 3}), "does not tell the tensors' shapes"),
    "other shapes": (_rewrite(shapes={}), "does not belong"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_and_the_model_stays(saved, name):
    damage, words = DAMAGE[name]
    damage(saved)
    fresh = network()
    before = snapshot(fresh)
    with pytest.raises(FileFormatError, match=words):
        load(saved, into=fresh)
    assert snapshot(fresh) == before


def test_all_that_does_not_fit_is_listed_and_the_model_stays(saved):
    other = network()
    other.a = nn.Linear(7, 12, bias=False)
    other.add_module("extra", nn.Linear(2, 2))
    before = snapshot(other)
    with pytest.raises(ArgumentError) as refusal:
        load(saved, into=other)
    for words in (
        "extra.bias is missing from the file",
        "extra.weight is missing from the file",
        "a.bias is not in the model",
        "a.weight has shape [12, 7], the original has [12, 6]",
        "pass a fresh instance",
    ):
        assert words in str(refusal.value)
    assert snapshot(other) == before


def test_a_lazy_or_missing_model_is_refused(saved):
    with pytest.raises(UnsupportedModelError, match=r"parameters without a shape yet: 0\.weight"):
        load(saved, into=nn.Sequential(nn.LazyLinear(3)))
    with pytest.raises(ArgumentError, match=r"must be a torch\.nn\.Module"):
        load(saved, into="model.py")


@pytest.mark.parametrize("extra", [{"version": 1}, torch.zeros(2)], ids=["mapping", "tensor"])
def test_extra_state_is_refused(extra, tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return extra

        def set_extra_state(self, state):
            pass

    net = named(a=Odd(6, 12), r=nn.ReLU(), b=nn.Linear(12, 3))
    with pytest.raises(UnsupportedModelError, match=r"no parameter or buffer: a\._extra_state"):
        prune(net, draw(4, 6), keep=0.5).save(tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_the_hash_sees_names_types_shapes_and_bytes():
    base = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "c": torch.ones(1)},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "b": torch.ones(1) + 1e-6},
    ]
    assert tensors_hash(dict(reversed(copy.copy(base).items()))) == tensors_hash(base)
    assert len({tensors_hash(mapping) for mapping in (base, *others)}) == 5


def test_both_files_can_be_read_by_the_same_people(saved):
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1
