"""The command line: exit codes, one line a refusal, nothing half-written."""

import errno
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

import coreprune
from coreprune import cli
from coreprune.commands import terminal
from coreprune.demo import LeNet300100
from coreprune.records import Inspection, LayerRecord, WholeRecord

certify_module = importlib.import_module("coreprune.certify")
LENET = "coreprune.demo:LeNet300100"


def run(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """The program's exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["coreprune", *map(str, arguments)])
    monkeypatch.setattr(terminal.out, "_file", None)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


@pytest.fixture
def command(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_file(LeNet300100().state_dict(), tmp_path / "lenet.safetensors")
    return tmp_path / "lenet.safetensors"


def test_version_is_the_package_version(command) -> None:
    assert command("--version") == (0, f"coreprune {coreprune.__version__}\n", "")


def test_inspect_lists_every_layer_and_reason(command, weights: Path) -> None:
    code, out, err = command("inspect", LENET, "--weights", weights, "--input", "1x784", "--json")
    layers = {layer["name"]: layer for layer in json.loads(out)["layers"]}
    assert (code, err) == (0, "")
    assert layers["fc1"]["neurons"] == 300
    assert layers["fc2"]["consumers"] == ["fc3"]
    assert layers["fc3"]["reason"] == "its output leaves the network"


def test_inspect_prints_a_table(command) -> None:
    code, out, _ = command("inspect", LENET, "--input", "1x784")
    assert code == 0
    assert "fc2" in out
    assert "100.0% of 266,610 parameters" in out


REASON = "raised RuntimeError: [/layers] expected [batch, 40], " + "and much more " * 20 + "END"


def test_tables_show_reasons_whole_and_as_they_are(command, monkeypatch, tmp_path: Path) -> None:
    layer = LayerRecord(name="rows[0]", reason=REASON)
    inspection = Inspection(layers=(layer,), parameters=3, reachable=0.0, notes=("[bold]: no",))
    monkeypatch.setattr(coreprune, "inspect", lambda *_, **__: inspection)
    _, inspected, _ = command("inspect", LENET, "--input", "1x784")
    real = coreprune.prune

    def pruned(*args, **kwargs):
        whole = (WholeRecord(name="rows[0]", reason=REASON),)
        return replace(real(*args, **kwargs), whole=whole, notes=("[/bold]: odd",))

    monkeypatch.setattr(coreprune, "prune", pruned)
    _, cut, _ = command("prune", LENET, "--input", "1x784", "--keep", "0.5", "-o", tmp_path / "s")
    for out in (inspected, cut):
        assert "rows[0]" in out
        assert REASON in out
    assert "[bold]: no" in inspected
    assert "[/bold]: odd" in cut


def test_on_a_terminal_long_reasons_wrap(command, monkeypatch) -> None:
    layer = LayerRecord(name="fc1", reason=REASON)
    inspection = Inspection(layers=(layer,), parameters=3, reachable=0.0, notes=())
    monkeypatch.setattr(coreprune, "inspect", lambda *_, **__: inspection)
    monkeypatch.setattr(terminal.out, "_force_terminal", True)
    monkeypatch.setattr(terminal.out, "_width", 60)
    _, out, _ = command("inspect", LENET, "--input", "1x784")
    assert "END" in out
    assert "…" not in out


def test_prune_writes_what_load_reads(command, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "small"
    code, out, err = command(
        "prune", LENET, "--weights", weights, "--input", "1x784", "--keep", "0.5", "-o", target
    )
    model = coreprune.load(target, into=LeNet300100())
    original = load_file(weights)
    record = json.loads((target / "coreprune.json").read_text())
    kept = record["groups"][0]["kept"]
    assert (code, err) == (0, "")
    assert "125,810" in out
    assert model.fc1.out_features == 150
    assert torch.equal(model.fc1.weight, original["fc1.weight"][kept])


def test_keep_takes_layers_by_name(command, tmp_path: Path) -> None:
    code, out, _ = command(
        "prune", LENET, "--input", "1x784", "--json", "-o", tmp_path / "small",
        "--keep", "fc1=0.1", "--keep", "fc2=0.2",
    )  # fmt: skip
    widths = [group["neurons_after"] for group in json.loads(out)["groups"]]
    assert code == 0
    assert widths == [30, 20]


def test_parameters_is_a_budget_for_the_network(command, tmp_path: Path) -> None:
    _, out, _ = command(
        "prune", LENET, "--input", "1x784", "--parameters", "0.1", "-o", tmp_path / "s", "--json"
    )
    document = json.loads(out)
    assert 0.09 < document["parameters_after"] / document["parameters_before"] <= 0.1


def test_certified_is_a_budget_of_what_is_proven(command, saved: Path) -> None:
    code, out, err = command(
        "prune", "own_net:net", "--input", "1x4", "--certified", "0.5", "-o", "other", "--json"
    )
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert 0 < document["certificate"] <= 0.5
    assert document["parameters_after"] < document["parameters_before"]
    code, out, err = command(
        "prune", "own_net:net", "--input", "1x4", "--certified", "1e-9", "-o", "third"
    )
    assert (code, out) == (1, "")
    assert err.startswith("coreprune: --certified 1e-09 cannot be reached: the smallest")


def test_neurons_is_a_budget_for_all_layers_together(command, tmp_path: Path) -> None:
    code, out, _ = command(
        "prune", LENET, "--input", "1x784", "--neurons", "0.25", "-o", tmp_path / "s", "--json"
    )
    widths = [group["neurons_after"] for group in json.loads(out)["groups"]]
    assert code == 0
    assert sum(widths) == 100


def test_the_summary_says_the_expected_error_and_its_law(command, tmp_path: Path) -> None:
    _, out, _ = command("prune", LENET, "--input", "1x784", "--keep", "0.5", "-o", tmp_path / "s")
    record = json.loads((tmp_path / "s" / "coreprune.json").read_text())
    for group in record["groups"]:
        assert f"{group['output_error']:.2g}" in out
    assert f"errors of the outputs, in their units, over {record['law']}" in out


def test_a_method_without_a_law_has_no_line_about_one(command, tmp_path: Path) -> None:
    _, out, _ = command(
        "prune", LENET, "--input", "1x784", "--keep", "0.5", "-o", tmp_path / "s",
        "--method", "uniform",
    )  # fmt: skip
    assert "expected over" not in out


def test_lossless_removes_what_is_not_needed(command, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = LeNet300100()
    with torch.no_grad():
        net.fc1.bias[:5] = -10 * net.fc1.weight[:5].norm(dim=1)
    save_file(net.state_dict(), tmp_path / "lenet.safetensors")
    common = ("prune", LENET, "--weights", tmp_path / "lenet.safetensors", "--input", "1x784")
    code, out, err = command(
        *common, "--lossless", "--queries", "ball:9.2", "-o", tmp_path / "small"
    )
    assert (code, err) == (0, "")
    assert "note: fc1: 5 dead on the ball of radius 9.2" in out
    small, x = coreprune.load(tmp_path / "small", into=LeNet300100()), torch.rand(9, 784) / 4
    assert small.fc1.out_features == 295
    torch.testing.assert_close(small(x), net(x))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--keep", "fc1=0.5", "--keep", "fc1=0.7"),
        ("--neurons", "0.5", "--parameters", "0.5"),
        ("--keep", "0.5", "--parameters", "0.5"),
        ("--lossless", "--keep", "0.5"),
        ("--lossless", "--parameters", "0.5"),
        ("--keep", "half"),
        ("--keep", "=0.5"),
        ("--keep", "0.5", "--keep", "fc1=0.5"),
        ("--keep", "0.5", "--no-such-option"),
    ],
)
def test_wrong_usage_is_exit_code_two(command, tmp_path: Path, options) -> None:
    code, _, err = command("prune", LENET, "--input", "1x784", "-o", tmp_path / "s", *options)
    assert code == 2
    assert "Usage" in err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"--keep": "1.5"}, "keep must be a number in (0, 1], got 1.5"),
        ({"--keep": "0"}, "keep must be a number in (0, 1], got 0.0"),
        ({"--keep": "fc9=0.5"}, "fc9"),
        ({"--input": "1x7"}, "; give --input the shape that it takes, once for each positional"),
        ({"--input": "wide"}, "input must look like 1x784"),
        ({"--input": "0x784"}, "sizes of at least 1"),
        ({"--input": "9999999999999x8"}, "torch cannot make the input"),
        ({"--method": "luck"}, "method must be one of optimal, backward, forward"),
        ({"--order": "sideways"}, "order must be one of top_down, bottom_up"),
        ({"--queries": "ball:-1"}, "--queries: radius must be positive"),
        ({"--queries": "luck"}, "queries must be gaussian"),
        ({"--queries": "none.npy"}, "cannot be read as an array"),
        ({"--repair": "long"}, "repair must be steps as 2000"),
        ({"--error": "-1", "--keep": None}, "error must be a positive"),
        ({"--certified": "0", "--keep": None}, "certified must be a positive"),
        ({"--round-to": "0"}, "--round-to must be"),
        ({"--seed": "-1"}, "seed must be"),
        ({"--skip": "fc9"}, "fc9"),
        ({"--parameters": "0.0001", "--keep": None}, "cannot be reached"),
        ({"--weights": "missing.safetensors"}, "missing.safetensors"),
        ({"--input": "1x784@float16"}, "the model's type, float32, as with --input 1x20@float32"),
        ({"-o": "no/such/place"}, "does not exist; create it first"),
        ({"-o": "s.onnx"}, "directory s.onnx must not end in .onnx"),
    ],
)
def test_refusals_are_one_line_and_exit_code_one(
    command, tmp_path: Path, monkeypatch, options, complaint
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = {"--input": "1x784", "--keep": "0.5", "-o": "small"} | options
    flat = [word for pair in chosen.items() if pair[1] is not None for word in pair]
    code, out, err = command("prune", LENET, *flat)
    assert (code, out) == (1, "")
    assert err.startswith("coreprune: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_lossless_says_what_to_leave_out(command, tmp_path: Path) -> None:
    options = ("--lossless", "--repair", "5", "-o", tmp_path / "small")
    code, _, err = command("prune", LENET, "--input", "1x784", *options)
    assert code == 1
    assert "leave them out, or pass --keep 0.5 in its place" in err


def test_an_existing_directory_is_refused_before_any_work(command, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("keep me")
    code, _, err = command(
        "prune", "no.such:model", "--input", "1x784", "--keep", "0.5", "-o", tmp_path / "small"
    )
    assert code == 1
    assert "exists already" in err
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "options",
    [
        ("--output", "small"),
        ("--report", "r.html", "--figures", "drawings"),
        ("--score", "a.b:c"),
        ("--parameters", "0.5", "--keep", "0.5"),
        ("--bytes", "0.5"),
        ("--lossless",),
        ("--order", "top_down", "--repair", "5"),
    ],
)
def test_what_the_curve_has_no_use_for_is_refused_by_name(
    command, tmp_path: Path, monkeypatch, options
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("prune", LENET, "--input", "1x784", "--curve", *options)
    words = " ".join(err.replace("│", " ").split())
    assert (code, out) == (2, "")
    assert "--curve prunes nothing: leave out" in words
    assert all(option in words for option in options if option.startswith("--"))
    assert not list(tmp_path.iterdir())


def test_two_targets_are_named(command) -> None:
    code, _, err = command("prune", LENET, "--keep", "0.5", "--parameters", "0.3")
    words = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert "give one of --keep, --parameters, not 2 together" in words


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("no/such/folder", "does not exist"),
        ("nothing.pt", "does not exist"),
        ("mine.txt", "is no model that can be read"),
    ],
)
def test_a_path_that_is_no_model_is_told_what_is_one(
    command, tmp_path, monkeypatch, place, what
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").touch()
    words = "give an .onnx file, a Hugging Face folder, or package.module:factory"
    told = (1, "", f"coreprune: MODEL {place} {what}; {words}\n")
    assert command("inspect", place, "--input", "1x784") == told


def test_bad_samples_are_told_by_the_option_that_names_them(command, saved: Path) -> None:
    np.save("bad.npy", np.full((5, 4), np.nan))
    options = ("--input", "1x4", "--keep", "0.5", "-o", "other", "--queries", "bad.npy")
    code, _, err = command("prune", "own_net:net", *options)
    assert code == 1
    assert err.startswith("coreprune: --queries hold NaN or infinite entries in batch 1")
    _, _, err = command("verify", "own_net:net", "small", "--samples", "bad.npy")
    assert err.startswith("coreprune: --samples must be finite")


NOISY = (
    "import logging, warnings\n"
    "from torch import nn\n"
    "def net():\n"
    "    warnings.warn('a warning')\n"
    "    logging.getLogger('someone').warning('a line')\n"
    "    logging.getLogger('someone').error('an error')\n"
    "    return nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2))\n"
)


@pytest.mark.parametrize(
    ("flags", "said"),
    [((), {"an error"}), (("-W", "default"), {"a warning", "a line", "an error"})],
)
def test_warnings_are_shown_to_those_who_ask_for_them(tmp_path: Path, flags, said) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    program = "from coreprune.cli import main; main()"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program, "inspect", "noisy:net", "--input", "1x4"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert {words for words in ("a warning", "a line", "an error") if words in done.stderr} == said


def test_completion_is_offered() -> None:
    assert "--install-completion" in CliRunner().invoke(cli.app, ["--help"]).output


def test_the_installed_program_is_quiet_when_not_a_terminal(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("coreprune")
    done = subprocess.run(
        [program, "inspect", LENET, "--input", "1x784"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


def test_factories_are_found_in_the_current_folder(command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_model.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2))\n"
    )
    code, out, _ = command("inspect", "own_model:net", "--input", "1x4", "--json")
    assert code == 0
    assert json.loads(out)["layers"][0]["neurons"] == 9


def test_the_factory_may_be_any_module_class() -> None:
    assert issubclass(LeNet300100, nn.Module)


def test_a_terminal_without_arrows_does_not_end_a_run_that_is_done(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("coreprune")
    done = subprocess.run(
        [program, "prune", LENET, "--input", "1x784", "--keep", "0.5", "-o", "small"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "small" / "coreprune.json").exists()


@pytest.mark.parametrize("options", [("--help",), ("inspect", LENET, "--input", "1x784")])
def test_output_that_finds_no_room_is_one_line_and_exit_code_one(
    command, monkeypatch, options
) -> None:
    def full(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.stdout, "write", full)
    code, out, err = command(*options)
    assert (code, out) == (1, "")
    assert err.startswith("coreprune: the output cannot be written ([Errno 28] No space left")
    assert err.count("\n") == 1


def test_other_errors_of_the_system_are_not_hidden(command, monkeypatch) -> None:
    def odd(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTDIR, "Not a directory")

    monkeypatch.setattr(coreprune, "inspect", odd)
    with pytest.raises(OSError, match="Not a directory"):
        command("inspect", LENET, "--input", "1x784")


@pytest.fixture
def saved(tmp_path: Path, monkeypatch) -> Path:
    """A folder with `own_net.net` and what was pruned of it, in `small`; the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    (tmp_path / "own_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))\n"
    )
    monkeypatch.delitem(sys.modules, "deep_net", raising=False)
    model = importlib.import_module("own_net").net()
    coreprune.prune(model, torch.ones(1, 4), keep=0.6).save(tmp_path / "small")
    return tmp_path


def tampered(folder: Path, change) -> None:
    path = folder / "small" / "coreprune.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_verify_prints_attack_certificate_and_ratio(command, saved: Path) -> None:
    code, out, err = command("verify", "own_net:net", "small")
    assert (code, err) == (0, "")
    assert all(word in out for word in ("attack", "certificate", "ratio", "stored", "yes"))
    assert "for all inputs of norm at most 2, in the units of the outputs; scope: network" in out
    assert "for rounding when both networks run in float32" in out


def test_prune_says_what_is_proven(command, saved: Path) -> None:
    _, out, _ = command("prune", "own_net:net", "--input", "1x4", "--keep", "0.5", "-o", "other")
    assert "proven: no output is off by more than" in out
    assert "for any input of norm at most 2.744; planned for: layer inputs no larger than" in out


def test_prune_says_why_nothing_is_proven(command, saved: Path) -> None:
    (saved / "step_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Residual(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        torch.manual_seed(0)\n"
        "        self.a, self.b = nn.Linear(4, 12), nn.Linear(12, 4)\n"
        "    def forward(self, x):\n"
        "        return x + self.b(self.a(x).relu())\n"
    )
    given = ("step_net:Residual", "--input", "1x4", "--keep", "0.5", "-o", "other")
    _, out, _ = command("prune", *given)
    words = "nothing is proven of the outputs; no bound of the whole network, because"
    assert words in out


def test_verify_says_what_was_not_attacked(command, saved: Path, monkeypatch) -> None:
    real = certify_module.pair_bound
    monkeypatch.setattr(
        certify_module,
        "pair_bound",
        lambda *args, **kwargs: replace(real(*args, **kwargs), layers=None, match=None),
    )
    code, out, _ = command("verify", "own_net:net", "small")
    assert code == 0
    assert "not attacked: the neurons of the two networks could not be matched" in out
    _, out, _ = command("verify", "own_net:net", "small", "--json")
    document = json.loads(out)
    assert document["groups"][0]["attack"] is None
    assert [claim["attack"] is None for claim in document["stored"]] == [False, True]


def test_verify_takes_a_space_of_its_own(command, saved: Path) -> None:
    code, out, _ = command("verify", "own_net:net", "small", "--box", "0:1", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["space"] == "all inputs in the box from 0 to 1"
    assert document["precision"] == "float32"
    assert all(0 < one < 1e-4 for one in document["rounding"])
    assert document["holds"] is True
    assert [claim["holds"] for claim in document["stored"]] == [True, True]
    pairs = zip(document["attack"], document["certificate"], strict=True)
    assert all(0 < attack <= bound for attack, bound in pairs)


def test_verify_says_which_share_of_samples_keeps_its_class(command, saved: Path) -> None:
    rows = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    np.save(saved / "rows.npy", rows.numpy())
    shares, spaces = [], []
    for radius in ([], ["--radius", "0.05"], ["--radius", "9"], ["--radius", "9", "--box", "0:1"]):
        _, out, _ = command(
            "verify", "own_net:net", "small", "--samples", "rows.npy", *radius, "--json"
        )
        document = json.loads(out)
        shares.append(document["unchanged"])
        spaces.append(document["space"])
    assert shares[0] >= shares[1] > shares[2] == shares[3] == 0.0
    norm = float(rows.double().norm(dim=1).max())
    assert spaces[:3] == [
        f"all inputs of norm at most {norm + radius:g}" for radius in (0.0, 0.05, 9.0)
    ]
    assert spaces[3] == "all inputs in the box from 0 to 1"
    _, out, _ = command("verify", "own_net:net", "small", "--samples", "rows.npy")
    assert f"{shares[0]:.1%} of the samples provably keep their class in both networks" in out


@pytest.mark.parametrize("name", ["network", "0"])
def test_a_stored_certificate_that_does_not_hold_is_exit_code_one(
    command, saved: Path, name
) -> None:
    def change(document):
        place = document if name == "network" else document["groups"][0]
        place["certificate"] = 1e-3

    tampered(saved, change)
    code, out, err = command("verify", "own_net:net", "small")
    assert code == 1
    assert "NO" in out
    assert err.startswith(f"coreprune: the stored certificate of {name}, 0.001 on the ball of radi")
    assert err.count("\n") == 1


@pytest.mark.parametrize("kept", [None, [0, 0], [0, 99], "all", [True, 2.0]], ids=str)
def test_a_stored_certificate_that_cannot_be_proven_again_is_exit_code_one(
    command, saved: Path, kept
) -> None:
    """It is forged: above any attack, below what is proven, beside what is no list of neurons."""
    reached = max(json.loads(command("verify", "own_net:net", "small", "--json")[1])["attack"])

    def change(document):
        document["certificate"] = 1.01 * reached
        if kept is not None:
            document["groups"][0]["kept"] = kept

    tampered(saved, change)
    code, out, err = command("verify", "own_net:net", "small")
    assert code == 1
    assert "not proven again (proven: " in out
    assert "is not proven again: proven is" in err
    assert err.count("\n") == 1
    claim, group = json.loads(command("verify", "own_net:net", "small", "--json")[1])["stored"]
    assert claim["holds"] is False
    assert claim["attack"] < claim["certificate"] < claim["proven"]
    assert (group["proven"], group["holds"]) == (None, True)


def test_a_network_of_several_layers_is_proven_again_and_its_groups_are_not_told(
    command, saved: Path
) -> None:
    (saved / "deep_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def net(act=nn.ReLU):\n"
        "    torch.manual_seed(0)\n"
        "    layers = [nn.Linear(4, 12), act(), nn.Linear(12, 9), act(), nn.Linear(9, 3)]\n"
        "    return nn.Sequential(*layers)\n"
        "def steeper(): return net(lambda: nn.LeakyReLU(-3.0))\n"
        "def louder():\n"
        "    model = net()\n"
        "    model[4].weight.data *= 3\n"
        "    return model\n"
    )
    command("prune", "deep_net:net", "--input", "1x4", "--keep", "0.5", "-o", "deep")
    code, out, _ = command("verify", "deep_net:net", "deep", "--box", "0:1", "--json")
    whole, *groups = json.loads(out)["stored"]
    assert (code, whole["holds"]) == (0, True)
    assert whole["attack"] < whole["proven"] <= whole["certificate"] * 1.001
    assert [group["holds"] for group in groups] == [None, None]
    _, out, _ = command("verify", "deep_net:net", "deep")
    assert all(words in out for words in ("yes, proven again", "not told by the two networks"))
    assert "stored certificates of groups speak of one cut alone" in out
    for other in ("steeper", "louder"):
        assert command("verify", f"deep_net:{other}", "deep")[0] == 1


def test_an_attack_above_a_new_certificate_is_exit_code_one(command, saved, monkeypatch) -> None:
    real = certify_module.pair_bound

    def wrong(*args, **kwargs):
        found = real(*args, **kwargs)
        return replace(found, bound=found.bound / 100)

    monkeypatch.setattr(certify_module, "pair_bound", wrong)
    code, _, err = command("verify", "own_net:net", "small")
    assert code == 1
    assert "an attack beats a certificate just proven" in err


def test_another_original_is_noticed(command, saved: Path) -> None:
    tampered(saved, lambda document: document.update(original_hash="0"))
    code, out, err = command("verify", "own_net:net", "small")
    assert (code, out) == (1, "")
    assert "the original's tensors are not those that were pruned" in err
    assert err.endswith("that were (did you forget --weights?)\n")


@pytest.mark.parametrize(
    ("options", "change", "complaint"),
    [
        (["--radius", "0"], {}, "radius must be positive and finite"),
        (["--radius", "inf"], {}, "radius must be positive and finite"),
        (["--box", "1"], {}, "box must be LOW:HIGH"),
        (["--box", "2:1"], {}, "low must be below high"),
        (["--samples", "rows.npy", "--radius", "-1"], {}, "radius must be finite and not negative"),
        (["--samples", "no.npy"], {}, "cannot be read as an array"),
        (["--samples", "own_net.py"], {}, "of numbers; pass one that numpy.save wrote"),
        (["--input", "1x5"], {}, "--input must run"),
        (["--effort", "-1"], {}, "effort must be"),
        ([], {"certificate": None}, "; pass --radius, or --box\n"),
        ([], {"certificate": "small"}, "which are no sizes"),
        ([], {"certificate_radius": -1}, "which are no sizes"),
        ([], {"groups": 3}, "does not list the groups"),
        ([], {"format": 99}, "update coreprune"),
    ],
    ids=str,
)
def test_verify_refuses_in_one_line(command, saved: Path, options, change, complaint) -> None:
    np.save(saved / "rows.npy", np.ones((2, 4)))
    tampered(saved, lambda document: document.update(change))
    code, out, err = command("verify", "own_net:net", "small", *options)
    assert (code, out) == (1, "")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "what"), [("nowhere", "does not exist"), ("own_net.py", "is a file")]
)
def test_verify_says_which_directory_to_pass(command, saved: Path, place, what) -> None:
    code, _, err = command("verify", "own_net:net", place)
    words = f"{place} {what}; pass the directory that prune wrote, with coreprune.json in it"
    assert (code, err) == (1, f"coreprune: {words}\n")


@pytest.mark.parametrize("options", [["--within", "1"], ["--radius", "1", "--box", "0:1"]])
def test_verify_options_that_do_not_go_together_are_usage_errors(
    command, saved: Path, options
) -> None:
    assert command("verify", "own_net:net", "small", *options)[0] == 2
