"""Factories, weights files and example shapes as the command line takes them."""

import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from coreprune.errors import ArgumentError, FileFormatError
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
        "number = 3\n"
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
    assert torch.equal(example_input("1x4@int64"), torch.zeros(1, 4, dtype=torch.int64))
    assert torch.equal(example_input("1x4"), example_input("1x4"))


@pytest.mark.parametrize("spec", ["", "1,784", "1x", "ax3", "1x3@wool", "1x3@nn"])
def test_a_bad_shape_is_refused(spec: str) -> None:
    with pytest.raises(ArgumentError, match="1x784"):
        example_input(spec)
