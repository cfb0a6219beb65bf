"""Hugging Face folders on the command line: one line a refusal, the input folder untouched."""

import errno
import json
import os
import shutil
import subprocess
import sys
from html import unescape

import pytest
from safetensors.torch import load_file, save_file
from test_cli import run
from tiny_transformers import save_tokenizer, tiny

import coreprune
from coreprune import folder_prune_repair
from coreprune.commands.folder_options import folder_law_of, layers_of
from coreprune.queries.normalised import BehindNorms
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder import staging


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def source(tmp_path):
    tiny("bert").save_pretrained(tmp_path / "big")
    return tmp_path / "big"


@pytest.fixture
def small(source, tmp_path):
    coreprune.prune_folder(source, tmp_path / "small", keep=0.5)
    return tmp_path / "small"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_inspect_lists_blocks_and_what_stays(command, source):
    code, out, err = command("inspect", source)
    assert (code, err) == (0, "")
    assert "bert.encoder.layer.1.intermediate.dense" in out
    assert "attention, whose heads are not cut" in out
    assert "parameters can be reached" in out
    code, out, _ = command("inspect", source, "--json")
    assert code == 0
    assert [block["neurons"] for block in json.loads(out)["blocks"]] == [24, 24]


def test_prune_writes_what_transformers_reads(command, source, tmp_path):
    code, out, err = command("prune", source, "-o", tmp_path / "small", "--keep", "0.5")
    assert (code, err) == (0, "")
    assert f"transformers.BertForMaskedLM.from_pretrained({str(tmp_path / 'small')!r})" in out
    assert "no output of a block is off by more than its certificate" in out
    assert json.loads((tmp_path / "small" / "config.json").read_text())["intermediate_size"] == 12


def test_a_model_that_may_not_work_is_called_so(command, source, tmp_path):
    _, out, _ = command("prune", source, "-o", tmp_path / "small", "--keep", "0.1")
    assert "2 of 2 blocks lose more than 50%" in out
    assert "keep more (--keep), train it (--repair), or" in out
    _, out, _ = command("prune", source, "-o", tmp_path / "large", "--keep", "0.9")
    assert "blocks lose" not in out


def test_errors_of_few_tokens_are_marked(command, source, tmp_path):
    save_tokenizer(source)
    (tmp_path / "texts.txt").write_text("a man plays\nthe plane flies high\n")
    options = ("--keep", "0.5", "--queries", tmp_path / "texts.txt")
    code, out, err = command("prune", source, "-o", tmp_path / "small", *options)
    assert (code, err) == (0, "")
    assert out.count(" (few tokens)") == 2
    assert "note: fewer tokens than neurons: 11 for the 24 of bert.encoder.layer.0" in out
    assert "expected errors are of them alone: pass at least 10 tokens a neuron" in out
    (tmp_path / "texts.txt").write_text("a man plays\nthe plane flies high\n" * 22)
    _, out, _ = command("prune", source, "-o", tmp_path / "other", *options)
    assert "(few tokens)" not in out
    assert "note" not in out


def test_the_output_is_read_offline_and_without_coreprune(command, source, tmp_path):
    command("prune", source, "-o", tmp_path / "small", "--keep", "0.5")
    code = (
        "import sys; sys.modules['coreprune'] = None\n"  # importing it fails from here on
        "from transformers import AutoModel\n"
        "model, info = AutoModel.from_pretrained(sys.argv[1], output_loading_info=True)\n"
        "missing = [name for name in info['missing_keys'] if not name.startswith('pooler')]\n"
        "print(model.encoder.layer[1].output.dense.in_features, missing, info['mismatched_keys'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "small")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert done.stdout.split("\n")[0] in {"12 [] []", "12 [] set()"}


def test_options_reach_the_library(command, source, tmp_path):
    options = ("--method", "priority", "--queries", "behind_norms:10", "--round-to", "8")
    code, out, _ = command(
        "prune", source, "-o", tmp_path / "s", "--keep", "0.4", *options, "--seed", "3", "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert (told["method"], told["seed"], told["widths"]) == (
        "priority",
        3,
        {"intermediate_size": 8},
    )
    assert told["law"].endswith("10 a neuron")


def test_layers_are_cut_alone_and_how_to_load_them_is_told(command, source, tmp_path):
    code, out, _ = command("prune", source, "-o", tmp_path / "s", "--keep", "0.5", "--layers=-1:")
    record = json.loads((tmp_path / "s" / "coreprune.json").read_text())
    assert code == 0
    assert list(record["block_widths"].values()) == [24, 12]
    assert "coreprune.load(folder, into=model) does" in out
    assert "reads it" not in out
    name = "bert.encoder.layer.0.intermediate.dense=0.5"
    command("prune", source, "-o", tmp_path / "t", "--keep", name)
    record = json.loads((tmp_path / "t" / "coreprune.json").read_text())
    assert list(record["block_widths"].values()) == [12, 24]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [("1:3", [1, 2]), (":2", [0, 1]), ("-2:", [3, 5]), (":-1", [0, 1, 2, 3]), (":", None)],
)
def test_layers_are_slices_as_python_has_them(words, numbers):
    there = [0, 1, 2, 3, 5]  # of six, one without a block
    expected = there if numbers is None else [n for n in numbers if n in there]
    if words == "-2:":
        expected = [5]
    assert layers_of(words, there) == expected


@pytest.mark.parametrize("words", ["3", "a:b", "1:2:3", "", "0.5:"])
def test_other_words_are_no_layers(words):
    with pytest.raises(coreprune.ArgumentError, match="layers must be a slice"):
        layers_of(words, range(4))


def test_layers_must_take_some():
    with pytest.raises(coreprune.ArgumentError, match="0 to 3, and '4:' takes none; pass 0:4"):
        layers_of("4:", range(4))


@pytest.mark.parametrize("words", ["ball:1", "behind_norms:x", "behind_norms:20:3", "tokens:x"])
def test_other_words_are_no_law_of_folders(words):
    with pytest.raises(coreprune.ArgumentError, match="queries must be of folders behind_norms"):
        folder_law_of(words)


def test_help_lists_the_laws_of_folders(command):
    code, out, _ = command("prune", "--help")
    told = " ".join(out.replace("│", " ").split())
    assert code == 0
    for words in ("behind_norms:QUERIES", "tokens:LENGTH", ".txt file of sentences"):
        assert words in told


@pytest.mark.parametrize(
    ("words", "law"),
    [
        ("tokens", Tokens()),
        ("tokens:7", Tokens(length=7)),
        ("behind_norms", BehindNorms()),
        ("a.txt", Sentences("a.txt")),
    ],
)
def test_words_are_laws(words, law):
    assert folder_law_of(words) == law


def test_a_report_is_written_beside_the_folder(command, source, tmp_path):
    options = ("--keep", "0.5", "--layers", "1:", "--report", tmp_path / "out.html")
    code, _, err = command("prune", source, "-o", tmp_path / "small", *options)
    assert (code, err) == (0, "")
    page = unescape((tmp_path / "out.html").read_text())
    assert "bert.encoder.layer.1.intermediate.dense" in page
    assert f"coreprune.load({str(tmp_path / 'small')!r}, into=model)" in page
    assert "from_pretrained(" not in page


def test_verify_tells_what_holds(command, source, small):
    code, out, err = command("verify", source, small)
    assert (code, err) == (0, "")
    assert "proven again" in out
    assert "bit by bit" in out
    code, out, _ = command("verify", source, small, "--json")
    assert json.loads(out)["holds"] is True


def test_a_certificate_that_does_not_hold_is_exit_code_one(command, source, small):
    record = json.loads((small / "coreprune.json").read_text())
    record["blocks"][1]["certificate"] = 1e-6
    (small / "coreprune.json").write_text(json.dumps(record))
    code, out, err = command("verify", source, small)
    assert code == 1
    assert "NO: the stored certificate 1e-06 does not hold" in out
    assert err.startswith("coreprune: bert.encoder.layer.1.intermediate.dense: the stored")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "way"),
    [
        (("--input", "1x7"), "leave --input out: blocks are cut from their weights alone"),
        (("--weights", "w.pt"), "leave --weights out: the folder has its weights itself"),
        (
            ("--parameters", "0.5"),
            "only for modules and files, not for Hugging Face folders: leave ",
        ),
        (("--flops", "0.5"), "leave --flops out: pass --keep 0.5"),
        (("--bytes", "0.5"), "leave --bytes out: pass --keep 0.5"),
        (("--neurons", "0.5"), "leave --neurons out: pass --keep 0.5"),
        (("--error", "0.5"), "leave --error out: pass --keep 0.5"),
        (("--certified", "0.5"), "leave --certified out: pass --keep 0.5"),
        (("--lossless",), "leave --lossless out: pass --keep 0.5"),
        (("--curve",), "leave --curve out: the record"),
        (("--order", "top_down"), "leave --order out: blocks do not depend"),
        (("--skip", "x"), "leave --skip out: pass --layers 2:"),
        (("--keep", "1.5"), "keep must be a number in (0, 1], got 1.5"),
        (("--keep", "x=0.5"), "keep names x, which is no block"),
        (("--round-to", "32"), "--round-to must be at most the 24 neurons"),
        (("--layers", "7:"), "takes none; pass 0:2 for all"),
        (("--method", "luck"), "method must be one of"),
        (("--method", "importance"), "pass --method priority, whose"),
        (("--queries", "gaussian:1"), "queries must be of folders behind_norms"),
        (("--queries", "tokens:33"), "--queries: length must be at most the 32 tokens"),
        (
            ("--queries", "tokens", "--workers", "2"),
            "--workers and --ray-address must be left out with --queries that",
        ),
        (("--queries", "no.txt"), "no.txt cannot be read as sentences"),
        (
            ("--score", "a.b:c", "--report", "r.html"),
            "leave --score out: reports of folders run no",
        ),
        (("--report", "no/r.html"), "needs a folder that exists; create it first"),
        (("-o", "no/such/place"), "does not exist; create it first"),
        (
            ("-o", "s.onnx"),
            "must not end in .onnx, or it is taken for a file when it is read; name it s",
        ),
        (("-o", "big/small"), "--output must lie outside the source"),
    ],
)
def test_refusals_are_one_line_and_leave_everything_as_it_is(
    command, source, tmp_path, monkeypatch, option, way
):
    monkeypatch.chdir(tmp_path)
    before = contents(source)
    given = {"--keep": ("--keep", "0.5"), "-o": ("-o", "small")} | {option[0]: option}
    code, out, err = command("prune", "big", *(word for words in given.values() for word in words))
    assert (code, out) == (1, "")
    assert err.startswith("coreprune: ")
    assert way in err
    assert err.count("\n") == 1
    assert contents(source) == before
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_all_options_that_do_not_apply_are_told_at_once(command, source, small):
    code, _, err = command("verify", source, small, "--radius", "1", "--box", "0:1")
    assert code == 1
    assert "leave --radius out" in err
    assert "leave --box out" in err
    code, _, err = command("inspect", source, "--skip", "x", "--input", "1x2")
    assert code == 1
    assert "leave --skip out" in err
    assert "leave --input out" in err


@pytest.mark.parametrize(
    "options", [("--keep", "0.5"), ("-o", "small"), ("--keep", "a", "-o", "s")]
)
def test_wrong_usage_is_exit_code_two(command, source, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("prune", source, *options)
    assert code == 2
    assert "Usage" in err
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_layers_of_a_module_are_refused(command, tmp_path):
    code, _, err = command(
        "prune", "coreprune.demo:LeNet300100", "--input", "1x784", "--keep", "0.5",
        "-o", tmp_path / "s", "--layers", "1:",
    )  # fmt: skip
    assert code == 1
    assert "only for Hugging Face folders of the family table" in err


def _no_config(folder):
    (folder / "config.json").unlink()


def _bad_config(folder):
    (folder / "config.json").write_text("{")


def _missing_shard(folder):
    shutil.rmtree(folder)
    tiny("bert").save_pretrained(folder, max_shard_size="6KB")
    sorted(folder.glob("*.safetensors"))[1].unlink()


def _astray(folder):
    shutil.rmtree(folder)
    tiny("bert").save_pretrained(folder, max_shard_size="6KB")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["bert.strange"] = next(iter(index["weight_map"].values()))
    path.write_text(json.dumps(index))


def _pickles(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _contradicted(folder):
    edit(folder / "config.json", intermediate_size=32)


def _truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def _integers(folder):
    tensors = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    tensors[name] = tensors[name].int()
    save_file(tensors, folder / "model.safetensors")


BROKEN = {
    "no config": (_no_config, "has no config.json; pass the folder that save_pretrained wrote"),
    "bad config": (_bad_config, "config.json cannot be read"),
    "missing shard": (
        _missing_shard,
        "which model.safetensors.index.json names; fetch the missing",
    ),
    "astray": (_astray, "names bert.strange, which the file it gives for it does not hold"),
    "pickles": (_pickles, "M.from_pretrained('big').save_pretrained('converted')"),
    "contradicted": (_contradicted, "take the config.json that belongs to the weights"),
    "truncated": (_truncated, "truncated or damaged; fetch it again"),
    "integers": (_integers, "is stored as I32; blocks can be cut in F64, F32, F16, BF16"),
}


@pytest.mark.parametrize(("harm", "complaint"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("verb", ["inspect", "prune", "verify"])
def test_broken_folders_are_refused_by_every_command(
    command, source, tmp_path, monkeypatch, verb, harm, complaint
):
    monkeypatch.chdir(tmp_path)
    harm(source)
    before = contents(source)
    options = {"inspect": (), "prune": ("-o", "small", "--keep", "0.5"), "verify": ("small",)}
    code, out, err = command(verb, "big", *options[verb])
    assert (code, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert contents(source) == before
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    command, source, tmp_path, monkeypatch
):
    before, settle, calls = contents(source), staging._settle, []

    def full(file):
        calls.append(file)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        settle(file)

    monkeypatch.setattr(staging, "_settle", full)
    words = ("prune", source, "-o", tmp_path / "small", "--keep", "0.5")
    code, out, err = command(*words)
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert "run the same command again to go on" in err
    assert err.count("\n") == 1
    assert contents(source) == before
    assert not (tmp_path / "small").exists()
    monkeypatch.setattr(staging, "_settle", settle)
    assert command(*words)[0] == 0
    assert coreprune.verify_folder(source, tmp_path / "small").holds


def test_workers_reach_the_library(command, source, tmp_path, monkeypatch):
    whole, seen = folder_prune_repair.prune_folder, {}

    def noted(*arguments, workers, threads, ray_address, **how):
        seen.update(workers=workers, threads=threads, ray_address=ray_address)
        return whole(*arguments, **how)

    monkeypatch.setattr(folder_prune_repair, "prune_folder", noted)
    options = ("--workers", "2", "--threads", "3", "--ray-address", "local")
    code, _, _ = command("prune", source, "-o", tmp_path / "s", "--keep", "0.5", *options)
    assert code == 0
    assert seen == {"workers": 2, "threads": 3, "ray_address": "local"}


@pytest.mark.parametrize("option", [("--workers", "2"), ("--threads", "2"), ("--ray-address", "a")])
def test_workers_are_of_folders(command, option):
    code, _, err = command("prune", "a.b:c", "-o", "x", "--keep", "0.5", *option)
    assert code == 1
    assert "only for Hugging Face folders of the family table (docs/families.md)" in err
    assert f"leave {option[0]} out: nothing is cut block by block" in err


@pytest.mark.parametrize(("verb", "option"), [("prune", "--flops"), ("verify", "--box")])
def test_help_marks_what_folders_do_not_take(command, verb, option):
    told = " ".join(command(verb, "--help")[1].replace("│", " ").split())
    assert "(modules and files)" in told.partition(option)[2].partition(" --")[0]
    assert "(modules and files)" not in told.partition("--seed")[2]
