import json
import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder import memory, task
from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.llama_shaped.folder import Shape, write_folder

LAYERS = 4
QUICK = {"keep": 0.5, "method": "magnitude"}
SHAPE = Shape(hidden=64, neurons=192, layers=LAYERS)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crew") / "big"
    write_folder(folder, SHAPE)
    return folder


@pytest.fixture(scope="module")
def alone(source):
    """What one process makes of it, byte for byte."""
    prune_folder(source, source.parent / "alone", keep=0.5)
    return contents(source.parent / "alone")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_workers_give_the_same_bytes(source, alone, tmp_path):
    seen = []
    prune_folder(
        source, tmp_path / "small", keep=0.5, workers=2, progress=lambda *told: seen.append(told)
    )
    assert contents(tmp_path / "small") == alone
    assert [told for told in seen if told[0] == "pruning blocks"] == [
        ("pruning blocks", done, LAYERS) for done in range(LAYERS + 1)
    ]


def test_threads_of_torch_outside_change_nothing(source, alone, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        prune_folder(source, tmp_path / "small", keep=0.5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert contents(tmp_path / "small") == alone


def test_a_killed_worker_is_told_and_the_run_goes_on(source, alone, tmp_path, monkeypatch):
    def kill(what, done, of):
        if (what, done) == ("pruning blocks", 1):
            for worker in multiprocessing.active_children():
                worker.kill()

    with pytest.raises(ArgumentError, match=r"one of 2 was killed.*with fewer workers, to go on"):
        prune_folder(source, tmp_path / "small", keep=0.5, workers=2, progress=kill)
    assert not (tmp_path / "small").exists()
    done = len(blocks_in(tmp_path / ".small.coreprune" / "journal.jsonl"))
    assert done >= 1
    assert resumed(source, tmp_path / "small", monkeypatch) == LAYERS - done
    assert contents(tmp_path / "small") == alone


def resumed(source, target, monkeypatch):
    """Finish a run in this process; how many blocks that took."""
    names, cut = [], task.cut_block

    def counted(block, *args, **kwargs):
        names.append(block.name)
        return cut(block, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(task, "cut_block", counted)
        prune_folder(source, target, keep=0.5)
    return len(names)


RUN = """
import multiprocessing, sys
from coreprune.shells.hf_folder.prune_folder import prune_folder
def told(what, done, of):
    if what == "pruning blocks" and done:
        print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
if __name__ == "__main__":
    prune_folder(sys.argv[1], sys.argv[2], keep=0.5, workers=int(sys.argv[3]), progress=told)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_half_way_goes_on_and_gives_the_same(
    source, alone, tmp_path, monkeypatch, workers
):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    target, journal = tmp_path / "small", tmp_path / ".small.coreprune" / "journal.jsonl"
    command = [sys.executable, str(script), str(source), str(target), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        pids = {int(pid) for pid in run.stdout.readline().split()}
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=120)  # workers that stay would hold it open
    assert run.returncode == -signal.SIGKILL
    assert len(pids) == (0 if workers == 1 else workers)
    wait_for(lambda: not any(map(works, pids)))
    done = len(blocks_in(journal))
    assert 1 <= done < LAYERS
    assert resumed(source, target, monkeypatch) == LAYERS - done
    assert contents(target) == alone


def blocks_in(journal):
    if not journal.is_file():
        return []
    lines = journal.read_text().splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and "block" in json.loads(line)]


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def works(pid):
    """Whether there is such a process, zombies aside."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_what_a_worker_refuses_is_refused(tmp_path):
    write_folder(tmp_path / "big", SHAPE)
    shard = tmp_path / "big" / f"model-00001-of-{LAYERS + 1:05d}.safetensors"
    tensors = load_file(shard)
    tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = torch.nan
    save_file(tensors, shard)
    with pytest.raises(UnsupportedModelError, match="NaN or infinite"):
        prune_folder(tmp_path / "big", tmp_path / "small", keep=0.5, workers=2)
    assert not list(tmp_path.glob("*small*"))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_numbers_that_are_none(source, tmp_path, wrong):
    for name in ("workers", "threads"):
        with pytest.raises(ArgumentError, match=f"{name} must be a whole number of at least 1"):
            prune_folder(source, tmp_path / "small", keep=0.5, **{name: wrong})


def test_workers_here_and_there(source, tmp_path):
    with pytest.raises(ArgumentError, match="workers must be left out with ray_address, got 2"):
        prune_folder(source, tmp_path / "small", keep=0.5, workers=2, ray_address="local")


@pytest.mark.parametrize("law", [Tokens(), Sentences(["a man"])], ids=["tokens", "sentences"])
@pytest.mark.parametrize("crew", [{"workers": 2}, {"ray_address": "local"}], ids=str)
def test_laws_that_run_the_model_have_no_crew(source, tmp_path, law, crew):
    words = "workers and ray_address must be left out with queries that run the model"
    with pytest.raises(ArgumentError, match=words):
        prune_folder(source, tmp_path / "small", keep=0.5, queries=law, **crew)
    assert not list(tmp_path.iterdir())


def test_workers_end_where_the_caller_stops(source, tmp_path):
    with pytest.raises(KeyboardInterrupt) as stopped:
        prune_folder(source, tmp_path / "small", workers=2, progress=stop_after_one, **QUICK)
    assert not multiprocessing.active_children()
    assert stopped.tb  # which keeps every frame alive


def test_more_workers_than_there_is_room_for(source, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_room", lambda: 3 * 2**30)
    with pytest.raises(ArgumentError, match=r"memory of 3\.0 GiB, but 4 .* at most workers=2"):
        prune_folder(source, tmp_path / "small", keep=0.5, workers=4)
    memory.check_memory(1, 2**80)  # an estimate refuses nobody who has no way out


def test_other_threads_begin_anew(source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prune_folder(source, tmp_path / "small", progress=stop_after_one, **QUICK)
    journal = tmp_path / ".small.coreprune" / "journal.jsonl"
    assert len(blocks_in(journal)) == 1
    seen = []
    prune_folder(
        source,
        tmp_path / "small",
        **QUICK,
        threads=2,
        progress=lambda *told: seen.append(told),
    )
    assert ("pruning blocks", 0, LAYERS) in seen
    assert json.loads((tmp_path / "small" / "coreprune.json").read_text())["threads"] == 2


def stop_after_one(what, done, of):
    if (what, done) == ("pruning blocks", 1):
        raise KeyboardInterrupt
