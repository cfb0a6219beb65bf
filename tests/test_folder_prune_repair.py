"""`prune FOLDER --repair`: nothing half-written, and what was stopped goes on."""

import errno
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from test_cli import run
from tiny_transformers import first_output, save_tokenizer, tiny

import coreprune
from coreprune import folder_prune_repair, folder_repair
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.folder_prune_repair import FolderWish, place_of, prune_and_repair
from coreprune.queries.normalised import BehindNorms
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.repair import Repair
from coreprune.shells.hf_folder import staging
from coreprune.shells.hf_folder.prune_folder import prune_folder

HALF = FolderWish(keep=0.5)
SHORT = Repair(steps=20, learning_rate=1e-3, check_every=10)


class Killed(BaseException):
    """As a signal that nobody catches."""


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def saved(name, folder):
    model = tiny(name)
    model.save_pretrained(folder / "big")
    save_tokenizer(folder / "big")
    return model, folder / "big"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def counted(monkeypatch):
    """How often blocks are cut from here on."""
    calls, cut = [], folder_prune_repair.prune_folder

    def noted(*arguments, **how):
        calls.append(arguments)
        return cut(*arguments, **how)

    monkeypatch.setattr(folder_prune_repair, "prune_folder", noted)
    return calls


def test_the_command_prunes_and_repairs(command, tmp_path):
    model, source = saved("bert", tmp_path)
    before = contents(source)
    options = ("--keep", "0.5", "--repair", "100", "--report", tmp_path / "out.html")
    code, out, err = command("prune", source, "-o", tmp_path / "small", *options)
    assert (code, err) == (0, "")
    assert "repaired in" in out
    assert "(100 steps are done) over random tokens: loss" in out
    assert "since repair, on queries drawn behind the norms" in out
    assert names(tmp_path) == ["big", "out.html", "small"]
    assert "over random tokens: loss" in (tmp_path / "out.html").read_text()
    assert contents(source) == before
    prune_folder(source, tmp_path / "cut", keep=0.5)
    wanted, apart = first_output(model, "bert"), []
    for folder in ("cut", "small"):
        small, info = type(model).from_pretrained(tmp_path / folder, output_loading_info=True)
        assert not any(info.values()), info
        apart.append(float((first_output(small.eval(), "bert") - wanted).square().mean()))
    assert apart[1] < apart[0]
    assert coreprune.verify_folder(source, tmp_path / "small").holds


def test_json_tells_the_repair(command, tmp_path):
    _, source = saved("bert", tmp_path)
    words = ("--keep", "0.5", "--repair", "30s", "--queries", "tokens:5", "--seed", "3", "--json")
    repair, noted = folder_prune_repair.repair_folder, []

    def quick(*places, settings, **how):
        noted.append(settings)
        return repair(*places, settings=SHORT, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folder_prune_repair, "repair_folder", quick)
        code, out, _ = command("prune", source, "-o", tmp_path / "small", *words)
    assert code == 0
    told, record = json.loads(out), json.loads((tmp_path / "small" / "coreprune.json").read_text())
    assert told["repair"] == record["repair"]
    assert (told["repair"]["law"], told["repair"]["seed"]) == (
        "random tokens, 5 in a sequence",
        3,
    )
    assert told["blocks"] == record["blocks"]
    assert (noted[0].seconds, noted[0].learning_rate) == (30.0, 5e-4)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_widths_that_differ_are_repaired_as_well(name, tmp_path):
    model, source = saved(name, tmp_path)
    wish = FolderWish(keep=0.5, layers=(1,))
    taught = prune_and_repair(source, tmp_path / "small", wish, settings=SHORT)
    assert taught.repaired.repair.loss_after < taught.repaired.repair.loss_before
    assert len(taught.result.blocks) == 1
    loaded = coreprune.load(tmp_path / "small", into=type(model)(model.config)).eval()
    assert torch.isfinite(first_output(loaded, name)).all()
    assert coreprune.verify_folder(source, tmp_path / "small").holds


def test_sentences_choose_and_teach(tmp_path):
    _, source = saved("bert", tmp_path)
    texts = Sentences(["a", "a plane", "a plane flies", "the man plays a flute", "the high a man"])
    wish = FolderWish(keep=0.5, queries=texts)
    few = Repair(steps=5, held_back=1)
    taught = prune_and_repair(source, tmp_path / "small", wish, settings=few)
    assert taught.repaired.law == taught.result.law == "the 5 sentences given"


@pytest.mark.parametrize("step", ["pruning blocks", "repairing"])
def test_what_was_killed_goes_on_and_gives_the_same(step, tmp_path, monkeypatch):
    _, source = saved("bert", tmp_path)
    prune_and_repair(source, tmp_path / "whole", HALF, settings=SHORT)

    def kill(what, done, of):
        if what == step and done == {"pruning blocks": 1, "repairing": 15}[step]:
            raise Killed

    small = tmp_path / "small"
    with pytest.raises(Killed):
        prune_and_repair(source, small, HALF, settings=SHORT, progress=kill)
    assert not small.exists()
    assert place_of(small).is_dir()
    calls, seen = counted(monkeypatch), []
    prune_and_repair(source, small, HALF, settings=SHORT, progress=lambda *told: seen.append(told))
    if step == "repairing":
        assert not calls
        assert min(told[1] for told in seen if told[0] == step) == 10
    else:
        assert ("pruning blocks", 1, 2) in seen
        assert ("pruning blocks", 0, 2) not in seen
    whole, again = (load_file(tmp_path / one / "model.safetensors") for one in ("whole", "small"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert names(tmp_path) == ["big", "small", "whole"]


@pytest.mark.parametrize(
    ("wish", "settings"), [(FolderWish(keep=0.25), SHORT), (HALF, Repair(steps=10))]
)
def test_another_command_begins_anew(wish, settings, tmp_path, monkeypatch):
    _, source = saved("bert", tmp_path)

    def kill(what, *_):
        if what == "repairing":
            raise Killed

    small = tmp_path / "small"
    with pytest.raises(Killed):
        prune_and_repair(source, small, HALF, settings=SHORT, progress=kill)
    calls = counted(monkeypatch)
    taught = prune_and_repair(source, small, wish, settings=settings)
    assert len(calls) == 1
    assert taught.result.blocks[0].neurons_after == round(24 * wish.keep)
    assert taught.repaired.repair.steps == settings.steps
    assert names(tmp_path) == ["big", "small"]


def test_a_full_disk_keeps_what_was_trained(tmp_path, monkeypatch):
    _, source = saved("bert", tmp_path)
    write, small = folder_repair.write_tensors, tmp_path / "small"

    def full(target, *_):
        with staging.writing(target):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_repair, "write_tensors", full)
    with pytest.raises(ArgumentError, match=r"No space left.*run the same command again"):
        prune_and_repair(source, small, HALF, settings=SHORT)
    assert not small.exists()
    monkeypatch.setattr(folder_repair, "write_tensors", write)
    seen = []
    prune_and_repair(
        source, small, HALF, settings=SHORT, progress=lambda *told: seen.append(told[0])
    )
    assert "repairing" not in seen
    assert names(tmp_path) == ["big", "small"]


def test_a_disk_that_takes_nothing(tmp_path, monkeypatch):
    _, source = saved("bert", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(ArgumentError, match=r"needs .* bytes, but 0 are free there"):
        prune_and_repair(source, tmp_path / "small", HALF, settings=SHORT)
    assert names(tmp_path) == ["big"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("vit", "does not read tokens; leave out"), ("mixtral", "and 9 more; leave out")],
)
def test_families_that_cannot_run_are_refused_before_the_cut(name, words, command, tmp_path):
    tiny(name).save_pretrained(tmp_path / "big")
    code, out, err = command(
        "prune", tmp_path / "big", "-o", tmp_path / "small", "--keep", "0.5", "--repair", "20"
    )
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
    assert names(tmp_path) == ["big"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--keep", "1"), "--repair needs blocks that lost neurons"),
        (("--keep", "7"), "--keep must be a number in (0, 1]"),
        (("--repair", "x"), "--repair must be steps as 2000, or seconds as 60s; got 'x'"),
        (("--repair", "0"), "steps must be a whole number of at least 1"),
        (("--queries", "few.txt"), "sentences must fill more than the 4 batches"),
        (("-o", "big/small"), "--output must lie outside the source"),
        (("-o", "no/such/place"), "does not exist; create it first"),
    ],
)
def test_refusals_leave_nothing(options, words, command, tmp_path, monkeypatch):
    _, source = saved("bert", tmp_path)
    (tmp_path / "few.txt").write_text("a man\n")
    monkeypatch.chdir(tmp_path)
    before = contents(source)
    given = {"-o": "small", "--keep": "0.5", "--repair": "20", options[0]: options[1]}
    code, out, err = command("prune", "big", *(word for pair in given.items() for word in pair))
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
    assert contents(source) == before
    assert names(tmp_path) == ["big", "few.txt"]


def test_laws_that_do_not_run_the_model_leave_repair_to_tokens(tmp_path):
    _, source = saved("bert", tmp_path)
    wish = FolderWish(keep=0.5, queries=BehindNorms(per_neuron=10))
    taught = prune_and_repair(source, tmp_path / "small", wish, settings=Repair(steps=1))
    assert taught.repaired.law == Tokens().words
    assert taught.result.law.endswith("10 a neuron")


def test_a_model_with_missing_tensors_is_refused(tmp_path):
    _, source = saved("bert", tmp_path)
    config = json.loads((source / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="has no tensors for"):
        prune_and_repair(source, tmp_path / "small", HALF, settings=SHORT)
    assert names(tmp_path) == ["big"]
