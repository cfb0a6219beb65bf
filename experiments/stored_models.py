"""Weights of networks that others trained, from the folder that `COREPRUNE_MODELS` names."""

import os
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from experiments.mnist import NoDataError


def find(name: str) -> Path:
    """The file of one network's weights.

    Args:
        name: Of the file.

    Returns:
        Its path.

    Raises:
        NoDataError: When it is not there; it says what to do.
    """
    given = os.environ.get("COREPRUNE_MODELS")
    if given and (path := Path(given) / name).exists():
        return path
    place = f"{given} has none" if given else "it is not set"
    raise NoDataError(
        f"{name} was not found; set COREPRUNE_MODELS to a folder that holds it ({place})"
    )


def weights_of(name: str) -> dict[str, Tensor]:
    """The tensors of one network in float32, by name.

    Args:
        name: Of the file.

    Returns:
        Floating-point tensors in float32, others as they are.
    """
    tensors = load_file(find(name))
    return {key: t.float() if t.is_floating_point() else t for key, t in tensors.items()}
