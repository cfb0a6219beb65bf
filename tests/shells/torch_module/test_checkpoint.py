"""Factories, weights files and example shapes as the command line takes them."""

import pickle
import struct
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.torch_module.checkpoint import build, example_input, load_weights


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.fixture
def factories(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "factories_under_test.py").write_text(
        "from torch import nn\n"
        "def good(): return nn.Linear(2, 2)\n"
        "def angry(): raise RuntimeError('no luck today')\n"
        "def other(): return 7\n"
        "def leaving(): raise SystemExit(2)\n"
        "number = 3\n"
    )
    (tmp_path / "script_under_test.py").write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--data', required=True)\n"
        "parser.parse_args([])\n"
    )
    sys.modules.pop("factories_under_test", None)


@pytest.mark.usefixtures("factories")
def test_a_factory_is_called() -> None:
    assert isinstance(build("factories_under_test:good"), nn.Linear)


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        ("factories_under_test:angry", "raised RuntimeError: no luck today"),
        ("factories_under_test:other", "made a int"),
        ("factories_under_test:number", "raised TypeError"),
        ("factories_under_test:missing", "cannot be imported (AttributeError"),
        ("no_such_package.at_all:make", "cannot be imported (ModuleNotFoundError"),
        ("no_colon", "package.module:factory"),
        ("factories_under_test:leaving", "raised SystemExit"),
        ("script_under_test:make", "cannot be imported (SystemExit: 2); keep what a script does"),
    ],
)
def test_a_bad_factory_is_refused_in_words(factory: str, complaint: str) -> None:
    with pytest.raises(ArgumentError) as refusal:
        build(factory)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_come_from_tensor_files(tmp_path: Path, suffix: str) -> None:
    source, target, path = net(), net(), tmp_path / f"weights{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(source.state_dict(), path)
    load_weights(target, path)
    assert torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
    ],
    ids=["nested", "parallel", "compiled"],
)
def test_wrapped_checkpoints_are_unwrapped(tmp_path: Path, wrap) -> None:
    source, target = net(), net()
    torch.save(wrap(source.state_dict()), tmp_path / "checkpoint.pt")
    load_weights(target, tmp_path / "checkpoint.pt")
    assert torch.equal(target[2].bias, source[2].bias)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"weights": Bomb(tmp_path / "exploded")}, tmp_path / "bomb.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for name in ("bomb.pt", "raw.pt"):
        with pytest.raises(FileFormatError, match="nothing in it was run"):
            load_weights(net(), tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_truncated_or_missing_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(FileFormatError, match="weights"):
        load_weights(net(), path)
    save = save_file if suffix == ".safetensors" else torch.save
    save(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError, match="weights"):
        load_weights(net(), path)


@pytest.mark.parametrize("position", range(0, 60, 3))
@pytest.mark.parametrize("value", [0, 40, 46, 82, 255])
def test_a_damaged_legacy_file_is_refused(tmp_path: Path, position: int, value: int) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weights": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[-position - 1] = value
    path.write_bytes(bytes(content[: len(content) - position]))
    with pytest.raises((FileFormatError, ArgumentError), match="weights"):
        load_weights(net(), path)


@pytest.mark.parametrize(
    "error", [IndexError("list index out of range"), struct.error("short"), AssertionError()]
)
def test_whatever_torch_raises_on_a_damaged_file_is_one_refusal(
    tmp_path: Path, monkeypatch, error
) -> None:
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(FileFormatError, match=r"cannot be read .*nothing in it was run"):
        load_weights(net(), tmp_path / "weights.pt")


@pytest.mark.parametrize("content", [b"(", b"\x80\x02a.", b"\x80\x02K\x01M."])
def test_short_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"weights\.pt"):
        load_weights(net(), tmp_path / "weights.pt")


def test_a_dictionary_with_other_keys_than_names_is_refused(tmp_path: Path) -> None:
    torch.save({0: torch.ones(3)}, tmp_path / "numbered.pt")
    with pytest.raises(FileFormatError, match="not a dictionary of tensors"):
        load_weights(net(), tmp_path / "numbered.pt")


def test_a_model_without_shapes_yet_is_refused(tmp_path: Path) -> None:
    save_file(net().state_dict(), tmp_path / "weights.safetensors")
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(UnsupportedModelError, match=r"without a shape yet: 0\.weight"):
        load_weights(lazy, tmp_path / "weights.safetensors")


def test_a_model_with_more_state_than_tensors_is_refused(tmp_path: Path) -> None:
    class Counting(nn.Linear):
        def get_extra_state(self):
            return {"steps": 3}

        def set_extra_state(self, _):
            raise AssertionError

    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"no tensor: _extra_state"):
        load_weights(Counting(2, 2), tmp_path / "weights.safetensors")


def test_a_model_that_refuses_the_tensors_says_so(tmp_path: Path) -> None:
    class Strict(nn.Linear):
        def _load_from_state_dict(self, *_, **__):
            raise RuntimeError("only on Mondays")

    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ArgumentError, match="only on Mondays"):
        load_weights(Strict(2, 2), tmp_path / "weights.safetensors")


def test_every_name_and_shape_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    state = net().state_dict()
    state["extra"] = state.pop("2.bias")
    state["0.weight"] = torch.zeros(5, 3)
    save_file(state, tmp_path / "weights.safetensors")
    target = net()
    before = target[2].weight.clone()
    with pytest.raises(ArgumentError) as refusal:
        load_weights(target, tmp_path / "weights.safetensors")
    for part in ("2.bias is missing", "extra is not in the model", "0.weight has shape (5, 3)"):
        assert part in str(refusal.value)
    assert torch.equal(target[2].weight, before)


def test_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FileFormatError, match="not a dictionary of tensors"):
        load_weights(net(), tmp_path / "list.pt")
    with pytest.raises(ArgumentError, match=r"\.safetensors, \.pt or \.pth"):
        load_weights(net(), tmp_path / "weights.bin")


def test_example_inputs_have_shape_and_type() -> None:
    assert example_input("2x3").shape == (2, 3)
    assert example_input("2x3@float16").dtype == torch.float16
    assert torch.equal(example_input("1x4@int64"), torch.ones(1, 4, dtype=torch.int64))
    assert torch.equal(example_input("1x4"), example_input("1x4"))


@pytest.mark.parametrize("spec", ["", "1,784", "1x", "ax3", "1x3@wool", "1x3@nn"])
def test_a_bad_shape_is_refused(spec: str) -> None:
    with pytest.raises(ArgumentError, match="1x784"):
        example_input(spec)


@pytest.mark.parametrize("spec", ["0x784", "1x0", "0"])
def test_a_size_of_zero_is_refused(spec: str) -> None:
    with pytest.raises(ArgumentError, match=f"sizes of at least 1, got '{spec}'"):
        example_input(spec)


@pytest.mark.parametrize(
    "spec", ["9999999999999x8", "9" * 30 + "x8", "9" * 5000, "1x8@quint8", "1x8@bits8"]
)
def test_a_tensor_that_torch_cannot_make_is_refused(spec: str) -> None:
    with pytest.raises(ArgumentError, match="torch cannot make the input"):
        example_input(spec)
