"""Whatever was saved, into a fresh original."""

from pathlib import Path

from torch import nn

from coreprune.shells.hf_folder.folder_record import is_folder_record
from coreprune.shells.hf_folder.load_folder import load_folder
from coreprune.shells.torch_module import files


def load(directory: str | Path, *, into: nn.Module) -> nn.Module:
    """Shrink a fresh original to the saved shapes and fill in the saved weights.

    Args:
        directory: What `PruneResult.save` or `prune_folder` wrote.
        into: An instance of the original model; its weights do not matter and are replaced. It is
            changed only once everything has been checked.

    Returns:
        `into`, now the pruned model.

    Raises:
        FileFormatError: When a file is missing, damaged, or not of this format.
        ArgumentError: When names or shapes do not fit; the message lists all that do not.
        UnsupportedModelError: When `into` has parameters without a shape or without memory yet.
    """
    place = Path(directory)
    if is_folder_record(place / files.RECORD):
        return load_folder(place, into=into)
    return files.load(place, into=into)
