import errno
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_transformers import tiny

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder import staging, task
from coreprune.shells.hf_folder.families import family_of
from coreprune.shells.hf_folder.prune_folder import prune_folder


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.fixture
def source(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big", max_shard_size="6KB")
    return tmp_path / "big"


@pytest.fixture
def cut_blocks(monkeypatch):
    """The names of blocks as they are cut."""
    names, cut = [], task.cut_block

    def counted(block, *args, **kwargs):
        names.append(block.name)
        return cut(block, *args, **kwargs)

    monkeypatch.setattr(task, "cut_block", counted)
    return names


def stop_at(what, done):
    def progress(*seen):
        if seen[:2] == (what, done):
            raise StoppedError

    return progress


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stopped(source, target, *, at, **how):
    with pytest.raises(StoppedError):
        prune_folder(source, target, keep=0.5, progress=stop_at(*at), **how)
    assert not target.exists()


def test_a_stopped_run_goes_on_and_gives_the_same(source, tmp_path, cut_blocks):
    prune_folder(source, tmp_path / "once", keep=0.5)
    whole = list(cut_blocks)
    cut_blocks.clear()
    stopped(source, tmp_path / "small", at=("pruning blocks", 1))
    assert cut_blocks == whole[:1]
    cut_blocks.clear()
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert cut_blocks == whole[1:]
    assert contents(tmp_path / "small") == contents(tmp_path / "once")
    assert not (tmp_path / ".small.coreprune").exists()


def test_a_run_stopped_while_copying_goes_on(source, tmp_path):
    prune_folder(source, tmp_path / "once", keep=0.5)
    stopped(source, tmp_path / "small", at=("copying what stays", 2))
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert contents(tmp_path / "small") == contents(tmp_path / "once")


def test_a_run_stopped_when_its_target_had_just_appeared_leaves_nothing_in_the_way(
    source, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(staging.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prune_folder(source, tmp_path / "small", keep=0.5)
    whole = contents(tmp_path / "small")
    shutil.rmtree(tmp_path / "small")
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert contents(tmp_path / "small") == whole


def test_what_a_stopped_removal_leaves_is_not_taken_up(source, tmp_path, monkeypatch):
    prune_folder(source, tmp_path / "once", keep=0.5)
    stopped(source, tmp_path / "small", at=("pruning blocks", 1))
    with monkeypatch.context() as patch:
        patch.setattr(staging.shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prune_folder(source, tmp_path / "small", keep=0.25)  # another wish begins anew
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert contents(tmp_path / "small") == contents(tmp_path / "once")


def interrupted(root, **_):
    # the shards are gone, the journal is not
    for path in (root / "folder").glob("*.safetensors"):
        path.unlink()
    raise KeyboardInterrupt


def test_a_journal_that_was_cut_short_counts_to_its_last_whole_line(source, tmp_path, cut_blocks):
    stopped(source, tmp_path / "small", at=("pruning blocks", 1))
    journal = tmp_path / ".small.coreprune" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert cut_blocks[0] == cut_blocks[1]
    assert len(cut_blocks) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"method": "forward"},
        {"keep": 0.25},
        {"family": replace(family_of("bert"), name="another row")},
    ],
    ids=str,
)
def test_another_wish_begins_anew(source, tmp_path, cut_blocks, change):
    stopped(source, tmp_path / "small", at=("pruning blocks", 1))
    cut_blocks.clear()
    prune_folder(source, tmp_path / "small", **({"keep": 0.5} | change))
    assert len(cut_blocks) == 2


def test_changed_weights_begin_anew(source, tmp_path, cut_blocks):
    stopped(source, tmp_path / "small", at=("pruning blocks", 1))
    cut_blocks.clear()
    shutil.rmtree(source)
    tiny("bert", seed=1).save_pretrained(source, max_shard_size="6KB")
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert len(cut_blocks) == 2


def test_a_full_disk_is_told_and_the_run_goes_on(source, tmp_path, monkeypatch, cut_blocks):
    settle, calls = staging._settle, []

    def full(file):
        calls.append(file)
        if len(cut_blocks) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        settle(file)

    monkeypatch.setattr(staging, "_settle", full)
    with pytest.raises(ArgumentError, match=r"No space left.*run the same command again"):
        prune_folder(source, tmp_path / "small", keep=0.5)
    assert not (tmp_path / "small").exists()
    monkeypatch.setattr(staging, "_settle", settle)
    cut_blocks.clear()
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert len(cut_blocks) == 1


def test_the_order_of_blocks_does_not_matter(source, tmp_path):
    prune_folder(source, tmp_path / "all", keep=0.5, method="priority")
    prune_folder(source, tmp_path / "last", keep=0.5, method="priority", layers=[1])
    for name in ("all", "last"):
        record = json.loads((tmp_path / name / "coreprune.json").read_text())
        assert record["blocks"][-1]["name"].split(".")[3] == "1"
    both, one = (
        json.loads((tmp_path / name / "coreprune.json").read_text())["blocks"][-1]
        for name in ("all", "last")
    )
    assert both == one


def test_the_source_is_never_written_to(source, tmp_path):
    before = contents(source)
    prune_folder(source, tmp_path / "small", keep=0.5)
    assert contents(source) == before
    with pytest.raises(ArgumentError, match="target must lie outside the source"):
        prune_folder(source, source / "small", keep=0.5)
    with pytest.raises(ArgumentError, match="target must lie outside the source"):
        prune_folder(source, source, keep=0.5)
    assert contents(source) == before


def test_every_shard_can_be_read_alone(source, tmp_path):
    prune_folder(source, tmp_path / "small", keep=0.5)
    for path in (tmp_path / "small").glob("*.safetensors"):
        for tensor in load_file(path).values():
            assert torch.isfinite(tensor).all()


def test_a_disk_that_is_too_small_is_told_before_any_work(source, tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(total=10, used=0, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArgumentError, match="bytes, but 10 are free there; make room"):
        prune_folder(source, tmp_path / "small", keep=0.5)
    assert not list(tmp_path.glob("*small*"))


def test_a_tensor_of_another_shape_is_never_written(source, tmp_path, monkeypatch):
    cut = task.cut_block

    def wider(block, tensors, *, num_neurons, **options):
        return cut(block, tensors, num_neurons=num_neurons + 1, **options)

    monkeypatch.setattr(task, "cut_block", wider)
    with pytest.raises(ArgumentError, match="must have the planned shape"):
        prune_folder(source, tmp_path / "small", keep=0.5)
    assert not (tmp_path / "small").exists()
