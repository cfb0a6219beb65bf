"""The tensors of a folder, whichever of its safetensors files they are in."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import safe_open
from torch import Tensor

from coreprune.errors import ArgumentError, FileFormatError
from coreprune.shells.hf_folder.config import read_json
from coreprune.shells.hf_folder.layout import Layout, Place, read_layout

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One safetensors file.

    Attributes:
        path: The file.
        layout: Its tensors' places.
        begin: Where in the file they begin.
    """

    path: Path
    layout: Layout
    begin: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All tensors of a folder; none is read before it is asked for.

    Attributes:
        folder: The folder.
        shards: Its files by name.
        homes: The file of every tensor, by name.
        index: What the index file says, None where one file holds everything.
    """

    folder: Path
    shards: Mapping[str, Shard]
    homes: Mapping[str, str]
    index: Mapping[str, Any] | None

    def place(self, name: str) -> Place:
        """Where a tensor is in its file, with its shape and dtype."""
        return self.shards[self.homes[name]].layout.places[name]

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Some tensors as stored."""
        return {name: read_tensor(self.folder / self.homes[name], name) for name in names}


def read_tensor(path: Path, name: str) -> Tensor:
    """One tensor of a safetensors file, in memory of its own.

    Raises:
        FileFormatError: When it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
    except (OSError, safetensors.SafetensorError) as reason:
        raise FileFormatError(f"{path} has no readable tensor {name} ({reason})") from reason
    return tensor.clone()


def find_weights(folder: Path) -> Weights:
    """Find a folder's safetensors files and what is in them.

    Args:
        folder: The Hugging Face folder.

    Returns:
        The tensors; of two files for the same, the single one counts, as it does for transformers.

    Raises:
        ArgumentError: When there are none, or only pickles.
        FileFormatError: When a shard is missing or damaged, or the index names what no shard holds.
    """
    if (folder / SINGLE).is_file():
        return _of([SINGLE], folder=folder, index=None)
    if (folder / INDEX).is_file():
        return _indexed(folder)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ArgumentError(
            f"source must hold safetensors files, but {folder} has only {', '.join(pickles)}, "
            "which run code when they are read; convert them where you trust them: python -c "
            f'"from transformers import AutoModel as M; '
            f"M.from_pretrained({str(folder)!r}).save_pretrained('converted')\", "
            "with the class that the model is used through in AutoModel's place, and copy the "
            "tokenizer's files"
        )
    raise ArgumentError(
        f"source must hold {SINGLE} or {INDEX}, but {folder} has neither; "
        "pass the folder that save_pretrained wrote"
    )


def _indexed(folder: Path) -> Weights:
    """The tensors that an index names.

    Raises:
        FileFormatError: When it does not agree with the files.
    """
    path = folder / INDEX
    index = read_json(path)
    named = index.get("weight_map")
    if not isinstance(named, dict) or not named or not all(map(_is_name, named.values())):
        raise FileFormatError(
            f"{path} must map tensors to files of the folder as weight_map; fetch it again"
        )
    files = sorted(set(named.values()))
    present = {path.name for path in folder.iterdir() if path.is_file()}
    if missing := [name for name in files if name not in present]:
        raise FileFormatError(
            f"{folder} lacks {', '.join(missing)}, which {INDEX} names; fetch the missing files"
        )
    weights = _of(files, folder=folder, index=index)
    astray = [name for name, home in named.items() if weights.homes.get(name) != home]
    if astray:
        raise FileFormatError(
            f"{path} names {_listed(astray)}, which the file it gives for it does not hold; "
            "fetch the index and the files of one revision"
        )
    return weights


def _is_name(file: object) -> bool:
    """Whether a shard's name is that of a file in the folder itself."""
    return isinstance(file, str) and Path(file).name == file


def _of(files: Iterable[str], *, folder: Path, index: Mapping[str, Any] | None) -> Weights:
    """Read the headers of some files.

    Raises:
        FileFormatError: When two hold the same name.
    """
    shards: dict[str, Shard] = {}
    homes: dict[str, str] = {}
    for name in files:
        layout, begin = read_layout(folder / name)
        shards[name] = Shard(path=folder / name, layout=layout, begin=begin)
        if twice := sorted(homes.keys() & layout.places.keys()):
            raise FileFormatError(
                f"{folder / name} and {homes[twice[0]]} both hold {_listed(twice)}; "
                "fetch the files of one revision"
            )
        homes.update(dict.fromkeys(layout.places, name))
    return Weights(folder=folder, shards=shards, homes=homes, index=index)


def _listed(names: list[str]) -> str:
    """The first few of some names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def total_bytes(layouts: Iterable[Layout]) -> int:
    """Of all tensors."""
    return sum(layout.num_bytes for layout in layouts)


def bytes_of(tensor: Tensor) -> bytes:
    """A tensor as it lies in a file, in order of its entries."""
    flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return flat.numpy().tobytes()


def index_after(index: Mapping[str, Any], layouts: Iterable[Layout]) -> str:
    """The index of files that hold the same tensors in other sizes, as text."""
    found = dict(index)
    sizes = list(layouts)
    metadata = dict(found.get("metadata") or {})
    metadata["total_size"] = total_bytes(sizes)
    metadata.pop("total_parameters", None)  # of the original
    found["metadata"] = metadata
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
