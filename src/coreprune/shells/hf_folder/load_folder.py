"""A pruned folder, into an instance of the original's class: for widths that no config can tell."""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import nn

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.folder_record import FolderRecord, read_folder_record
from coreprune.shells.hf_folder.records import RECORD
from coreprune.shells.hf_folder.weights import Weights, find_weights
from coreprune.shells.torch_module.files import check_filled
from coreprune.shells.torch_module.modules import check_shaped, put, unwrapped
from coreprune.shells.torch_module.tensors import canonical_names

Shape = tuple[int, ...]


def load_folder(directory: Path, *, into: nn.Module) -> nn.Module:
    """Shrink a fresh original to the widths of a pruned folder and fill in its weights.

    Args:
        directory: What `prune_folder` wrote.
        into: An instance of the original model of transformers, changed only once everything has
            been checked; its own parts of the tensors' names may have the base model's prefix or
            not.

    Returns:
        `into`, now the pruned model.

    Raises:
        FileFormatError: When a file is missing, damaged, or no folder's record.
        ArgumentError: When names or shapes do not fit; the message lists all that do not.
        UnsupportedModelError: When `into` has parameters without a shape or without memory yet.
    """
    record = read_folder_record(directory / RECORD)
    weights = find_weights(directory)
    model = unwrapped(into)
    check_shaped(model)
    check_filled(model)
    names = canonical_names(model)
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    aliases = {name: first for name, first in names.items() if first != name}
    prefix = str(getattr(model, "base_model_prefix", ""))
    homes, problems = {}, []
    for name in sorted(shapes.keys() - aliases.keys()):
        same = [name, *(other for other, first in aliases.items() if first == name)]
        stored = _stored_name(same, weights.homes, prefix=prefix)
        if stored is None:
            problems.append(f"{name} is missing from the folder")
        elif not _fits(shapes[name], weights.place(stored).shape, record):
            problems.append(
                f"{name} has shape {shapes[name]}, the folder {weights.place(stored).shape}"
            )
        else:
            homes[name] = stored
    if problems:
        raise ArgumentError(
            f"into does not fit {directory}: {'; '.join(problems)}; pass a fresh instance of the "
            "original's class, made from the original's config; of families whose tensors "
            "transformers renames as it reads them, prune all layers alike"
        )
    _fill(model, homes, weights)
    return into


def _stored_name(same: Collection[str], there: Collection[str], *, prefix: str) -> str | None:
    """Under which of its names a tensor is stored, with the base model's prefix or without."""
    for name in same:
        for candidate in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")):
            if candidate in there:
                return candidate
    return None


def _fits(shape: Shape, stored: Shape, record: FolderRecord) -> bool:
    """Whether a shape is the stored one, or becomes it when a block loses its neurons."""
    if len(shape) != len(stored):
        return False
    pairs = {(old, new) for old, new in zip(shape, stored, strict=True) if old != new}
    widths = {(one.neurons_before, one.neurons_after) for one in record.blocks.values()}
    doubled = {(2 * before, 2 * after) for before, after in widths}
    return len(pairs) <= 1 and pairs <= widths | doubled


def _fill(model: nn.Module, homes: Mapping[str, str], weights: Weights) -> None:
    read = weights.read(homes.values())
    put(model, {name: read[stored] for name, stored in homes.items()})
    for module in model.modules():
        if type(module).__name__ == "Conv1D" and isinstance(module.weight, nn.Parameter):
            # transformers' own transposed layer keeps its sizes as numbers
            vars(module).update(zip(("nx", "nf"), module.weight.shape, strict=True))
