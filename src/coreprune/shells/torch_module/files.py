"""A pruned module on disk: `weights.safetensors` and `coreprune.json`, and back; never a pickle."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.torch_module.modules import check_shaped, put, unwrapped
from coreprune.shells.torch_module.tensors import canonical_names

FORMAT = 1
WEIGHTS, RECORD = "weights.safetensors", "coreprune.json"
FOLDER_WEIGHTS = "model.safetensors"


def save(
    model: nn.Module,
    directory: Path,
    *,
    record: Mapping[str, Any],
    original: Mapping[str, tuple[int, ...]],
) -> None:
    """Write a pruned module into a new directory; all files appear at once or none does.

    Args:
        model: The pruned module.
        directory: Must not exist, or be empty; its parent must exist.
        record: What else the JSON file says.
        original: The shapes of the original's tensors by name.

    Raises:
        ArgumentError: When the directory is not new or cannot be written.
        UnsupportedModelError: When the state holds more than parameters and buffers.
    """
    check_target(directory)
    tensors, aliases = _state(model)
    document = {
        "format": FORMAT,
        "library_version": version("coreprune"),
        "weights_hash": tensors_hash(tensors),
        "shapes": {
            name: {"original": list(original[name]), "pruned": list(tensor.shape)}
            for name, tensor in tensors.items()
        },
        "aliases": aliases,
        **record,
    }
    staging = directory.parent / f".coreprune-{uuid4().hex}"
    try:
        staging.mkdir()
    except OSError as reason:
        raise ArgumentError(_unwritable(directory, reason)) from reason
    try:
        save_file(tensors, staging / WEIGHTS, metadata={"format": "pt"})
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (staging / RECORD).write_text(text + "\n", encoding="utf-8")
        # safetensors lets only the owner read; the weights are as public as the record.
        (staging / WEIGHTS).chmod((staging / RECORD).stat().st_mode)
        staging.replace(directory)
    except (OSError, safetensors.SafetensorError) as reason:
        raise ArgumentError(_unwritable(directory, reason)) from reason
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_target(directory: Path) -> None:
    """Refuse a directory that is not new, has a file's name, or whose parent cannot take it.

    Raises:
        ArgumentError: Naming the directory and the way out.
    """
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir())):
        raise ArgumentError(f"directory {directory} exists already; name a new one, or remove it")
    if directory.suffix.lower() == ".onnx":
        raise ArgumentError(
            f"directory {directory} must not end in .onnx, or it is taken for a file when it is "
            f"read; name it {directory.with_suffix('')}"
        )
    if not directory.parent.is_dir():
        raise ArgumentError(f"directory {directory.parent} does not exist; create it first")
    if not os.access(directory.parent, os.W_OK):
        raise ArgumentError(_unwritable(directory, "no permission"))


def load(directory: str | Path, *, into: nn.Module) -> nn.Module:
    """Shrink a fresh original to the saved shapes and fill in the saved weights.

    Args:
        directory: What `PruneResult.save` wrote.
        into: An instance of the original model; its weights do not matter and are replaced. It is
            changed only once everything has been checked.

    Returns:
        `into`, now the pruned model.

    Raises:
        FileFormatError: When a file is missing, damaged, or not of this format.
        ArgumentError: When names or shapes do not fit; the message lists all that do not.
        UnsupportedModelError: When `into` has parameters without a shape or without memory yet.
    """
    document = read_record(directory)
    tensors = _read_weights(_weights_in(Path(directory)), document)
    model = unwrapped(into)
    check_shaped(model)
    check_filled(model)
    names = canonical_names(model)
    wanted = {name for name in model.state_dict() if names.get(name, name) == name}
    problems = [f"{name} is missing from the file" for name in sorted(wanted - set(tensors))]
    problems += [f"{name} is not in the model" for name in sorted(set(tensors) - wanted)]
    state = model.state_dict()
    for name in sorted(wanted & set(tensors)):
        shape, shapes = list(state[name].shape), document["shapes"][name]
        if shape not in (shapes["original"], shapes["pruned"]):
            problems.append(f"{name} has shape {shape}, the original has {shapes['original']}")
    if problems:
        raise ArgumentError(
            f"into does not fit {directory}: {'; '.join(problems)}; "
            "pass a fresh instance of the model that was pruned"
        )
    put(model, tensors)
    return into


def _weights_in(directory: Path) -> Path:
    """The weights' file, in folders that transformers reads under its own name."""
    own, other = directory / WEIGHTS, directory / FOLDER_WEIGHTS
    return other if other.is_file() and not own.exists() else own


def check_filled(model: nn.Module) -> None:
    """Refuse modules without memory.

    Raises:
        UnsupportedModelError: Naming the tensors and the way out.
    """
    empty = [name for name, tensor in model.state_dict().items() if getattr(tensor, "is_meta", 0)]
    if empty:
        raise UnsupportedModelError(
            f"into has no memory for {', '.join(empty)} (meta device); "
            'give it some first: into.to_empty(device="cpu")'
        )


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, independent of the order of the mapping."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _state(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state's tensors, each once, and the other names of those that have several.

    Raises:
        UnsupportedModelError: When the state holds more than parameters and buffers.
    """
    names = canonical_names(model)
    tensors, aliases = {}, {}
    storages: set[int] = set()
    state = model.state_dict()
    strange = [name for name in state if name not in names]
    if strange:
        raise UnsupportedModelError(
            f"the state holds what is no parameter or buffer: {', '.join(strange)}; "
            "coreprune cannot restore it"
        )
    for name, tensor in state.items():
        first = names[name]
        if first == name:
            tensor = tensor.detach().cpu().contiguous()
            storage = tensor.untyped_storage().data_ptr()
            tensors[name] = tensor.clone() if storage in storages else tensor
            storages.add(storage)
        else:
            aliases[name] = first
    return tensors, aliases


def read_record(directory: str | Path) -> dict[str, Any]:
    """What `PruneResult.save` wrote beside the weights.

    Args:
        directory: Where.

    Returns:
        The JSON document; of its entries only the tensors' shapes are checked.

    Raises:
        FileFormatError: When it is missing, damaged, or not of this format.
    """
    path = Path(directory) / RECORD
    if not path.parent.is_dir():
        what = "is a file" if path.parent.exists() else "does not exist"
        raise FileFormatError(
            f"{directory} {what}; pass the directory that prune wrote, with {RECORD} in it"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as reason:
        raise FileFormatError(
            f"{path} cannot be read ({reason}); save the result again"
        ) from reason
    if not isinstance(document, dict) or "format" not in document:
        raise FileFormatError(f"{path} is not a coreprune record")
    if document["format"] != FORMAT:
        raise FileFormatError(
            f"{path} has format {document['format']}, this version reads {FORMAT}; update coreprune"
        )
    shapes = document.get("shapes")
    if not isinstance(shapes, dict) or not all(map(_is_pair, shapes.values())):
        raise FileFormatError(f"{path} does not tell the tensors' shapes; save the result again")
    return document


def _is_pair(shapes: object) -> bool:
    return isinstance(shapes, dict) and shapes.keys() == {"original", "pruned"}


def _read_weights(path: Path, document: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = read_safetensors(path)
    belong = document["shapes"].keys() == tensors.keys()
    if not belong or tensors_hash(tensors) != document.get("weights_hash"):
        raise FileFormatError(f"{path} does not belong to the {RECORD} beside it")
    return tensors


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        FileFormatError: When it is missing, truncated or something else.
    """
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as reason:
        raise FileFormatError(f"{path} is not a readable safetensors file ({reason})") from reason


def _unwritable(directory: Path, reason: object) -> str:
    return f"directory {directory} cannot be written ({reason}); choose another place"
