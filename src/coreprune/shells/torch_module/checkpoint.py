"""A model from the command line: a factory, a weights file and the shapes of its inputs."""

import importlib
import pickle
import re
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.calls import first_line
from coreprune.shells.torch_module.files import read_safetensors
from coreprune.shells.torch_module.modules import check_shaped

_WRAPPERS = ("module.", "_orig_mod.")
_FILES = (".onnx", ".safetensors", ".pt", ".pth")
_NESTED = ("state_dict", "model_state_dict", "model")


def build(factory: str) -> nn.Module:
    """Call `package.module:factory` without arguments.

    Args:
        factory: A module that can be imported from here, and a callable or class in it.

    Returns:
        The module that it makes.

    Raises:
        ArgumentError: When it cannot be imported, raises, or makes something else.
    """
    if ":" not in factory:
        _check_no_path(factory)
    make = imported(factory, argument="MODEL")
    try:
        model = make()
    except (Exception, SystemExit) as reason:
        raise ArgumentError(
            f"MODEL {factory} raised {type(reason).__name__}: {first_line(reason)}; "
            "it is called without arguments"
        ) from reason
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"MODEL {factory} made a {type(model).__name__}; it must return a torch.nn.Module"
        )
    return model


def _check_no_path(name: str) -> None:
    """Refuse what looks like a path.

    Raises:
        ArgumentError: With all that MODEL can be.
    """
    known = Path(name).exists()
    if known or "/" in name or "\\" in name or Path(name).suffix in _FILES:
        found = "is no model that can be read" if known else "does not exist"
        raise ArgumentError(
            f"MODEL {name} {found}; give an .onnx file, a Hugging Face folder, or "
            "package.module:factory"
        )


def imported(name: str, *, argument: str) -> Callable[..., Any]:
    """What `package.module:attribute` names.

    Args:
        name: A module that can be imported from here, and something in it.
        argument: Whose value that is.

    Returns:
        The attribute.

    Raises:
        ArgumentError: When it cannot be imported.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise ArgumentError(
            f"{argument} must be package.module:factory, got {name!r}; "
            "for example coreprune.demo:LeNet300100"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as reason:  # a script that reads its arguments exits
        hint = "run from the folder that holds the package, or install it"
        if isinstance(reason, SystemExit):
            hint = "keep what a script does under if __name__ == '__main__'"
        raise ArgumentError(
            f"{argument} {name} cannot be imported "
            f"({type(reason).__name__}: {first_line(reason)}); {hint}"
        ) from reason
    return found


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model from a `.safetensors` file, or a `.pt` or `.pth` read without running code.

    Args:
        model: Filled in place once every name and shape fits.
        path: A state dictionary.

    Raises:
        FileFormatError: When the file is unreadable or would run code.
        ArgumentError: When names or shapes do not fit; all that do not are listed.
        UnsupportedModelError: When the model has parameters without a shape yet, or a state that
            holds more than tensors.
    """
    check_shaped(model)
    state = model.state_dict()
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise UnsupportedModelError(
            f"the model's state holds what is no tensor: {', '.join(strange)}; "
            "load the weights in the factory and leave out --weights"
        )
    tensors = _read(path)
    problems = [f"{name} is missing from the file" for name in state if name not in tensors]
    problems += [f"{name} is not in the model" for name in tensors if name not in state]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, the model has {tuple(state[name].shape)}"
        for name, tensor in tensors.items()
        if name in state and tensor.shape != state[name].shape
    ]
    if problems:
        raise ArgumentError(f"weights {path} do not fit the model: {'; '.join(problems)}")
    try:
        model.load_state_dict(tensors)
    except Exception as reason:
        raise ArgumentError(
            f"weights {path} do not fit the model: {' '.join(str(reason).split())}"
        ) from reason


def example_input(spec: str) -> Tensor:
    """An example from its shape: "1x784", or "1x16@int64" for token ids (ones).

    Args:
        spec: Sizes of at least 1 joined by x, and optionally @ and the name of a torch type.

    Returns:
        Seeded normal noise, or ones for types that are not floating-point: token 0 often pads, and
        its embedding is zero.

    Raises:
        ArgumentError: When the text is no shape, or torch cannot make such a tensor.

    Example:
        >>> example_input("2x784").shape
        torch.Size([2, 784])
    """
    match = re.fullmatch(r"(\d+(?:x\d+)*)(?:@(\w+))?", spec)
    dtype = getattr(torch, match[2] or "float32", None) if match else None
    if match is None or not isinstance(dtype, torch.dtype):
        raise ArgumentError(f"input must look like 1x784 or 1x16@int64, got {spec!r}")
    sizes = match[1].split("x")
    if not all(size.strip("0") for size in sizes):
        raise ArgumentError(f"input must have sizes of at least 1, got {spec!r}")
    try:
        with warnings.catch_warnings(action="ignore"):
            return _made([int(size) for size in sizes], dtype)
    except Exception as reason:
        said = textwrap.shorten(first_line(reason), 160, placeholder=" …")
        raise ArgumentError(
            f"torch cannot make the input {spec!r} ({said}); give smaller sizes, or another type"
        ) from reason


def _made(shape: list[int], dtype: torch.dtype) -> Tensor:
    if not dtype.is_floating_point:
        return torch.ones(shape, dtype=dtype)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if path.suffix not in {".pt", ".pth"}:
        raise ArgumentError(f"weights must end in .safetensors, .pt or .pth, got {path}")
    try:
        with warnings.catch_warnings(action="ignore"):  # a refusal is said once, below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        raise FileFormatError(
            f"{path} holds more than tensors, or is damaged; nothing in it was run. Save the "
            "state_dict alone, best with safetensors.torch.save_file"
        ) from reason
    except Exception as reason:  # damaged files end in any error of the unpickler
        raise FileFormatError(
            f"{path} cannot be read ({type(reason).__name__}: {first_line(reason)}); "
            "nothing in it was run"
        ) from reason
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors in a checkpoint, under the names that the bare module has.

    Raises:
        FileFormatError: When it is no dictionary of tensors by name.
    """
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise FileFormatError(f"{path} is not a dictionary of tensors; save model.state_dict()")
    for prefix in _WRAPPERS:
        if content and all(name.startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    return content
