"""Where a training stands, and the one file that it resumes from; never a pickle."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from coreprune.errors import ArgumentError, FileFormatError

FILE = "training.safetensors"
FORMAT = "coreprune training 1"
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The plain numbers of a training.

    Attributes:
        step: Steps done.
        seconds: Time spent on them.
        loss_before: On the held-back batches, before the first step; None where there are none.
        best_loss: The least one so far.
        best_step: After which step.
        stale: Checks since then.
    """

    step: int = 0
    seconds: float = 0.0
    loss_before: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Everything that the next step depends on.

    Attributes:
        standing: The numbers.
        weights: The trained tensors by name.
        best: Those of the best step.
        optimizer: The optimiser's tensors, as "index.name".
    """

    standing: Standing
    weights: Tensors
    best: Tensors
    optimizer: Tensors = field(default_factory=dict)


def write_state(state: State, directory: Path, *, task: Mapping[str, Any]) -> None:
    """Replace the file in a directory at once; an interruption leaves the old one.

    The numbers are JSON in the header, so that tensors and numbers cannot come apart.

    Args:
        state: What to write.
        directory: Created when missing; its parent must exist.
        task: What is trained on what; resuming insists on the same.

    Raises:
        ArgumentError: When the directory cannot be written.
    """
    groups = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    header = {
        "format": FORMAT,
        "standing": json.dumps(asdict(state.standing)),
        "task": json.dumps(task),
    }
    staging = directory / f".{FILE}-{uuid4().hex}"
    try:
        directory.mkdir(exist_ok=True)
        save_file(tensors, staging, metadata=header)
        staging.replace(directory / FILE)
    except (OSError, safetensors.SafetensorError) as reason:
        raise ArgumentError(unwritable(directory, reason)) from reason
    finally:
        staging.unlink(missing_ok=True)


def read_state(directory: Path, *, task: Mapping[str, Any]) -> State | None:
    """What an earlier run left in a directory, or None when it left nothing.

    Args:
        directory: As given to `write_state`.
        task: Must be that of the earlier run.

    Returns:
        The state.

    Raises:
        FileFormatError: When the file is damaged or something else.
        ArgumentError: When it belongs to another task; the message lists what differs.
    """
    path = directory / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        standing, before = json.loads(header["standing"]), json.loads(header["task"])
        state = State(standing=Standing(**standing), **_grouped(tensors))
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as reason:
        raise FileFormatError(
            f"{path} cannot be resumed from ({reason}); delete it to start anew"
        ) from reason
    differing = sorted(name for name in {*task, *before} if task.get(name) != before.get(name))
    if header.get("format") != FORMAT or differing:
        what = ", ".join(differing) or "format"
        raise ArgumentError(
            f"directory {directory} holds a training with other {what}; "
            "name another directory, or delete it to start anew"
        )
    return state


def _grouped(tensors: Tensors) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {
        entry.name: {} for entry in fields(State) if entry.name != "standing"
    }
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    return groups


def check_directory(directory: Path) -> None:
    """Refuse a directory that cannot be written before any work is done.

    Raises:
        ArgumentError: Naming the directory and the way out.
    """
    if directory.exists() and not directory.is_dir():
        raise ArgumentError(f"directory {directory} is a file; name a directory")
    if not directory.parent.is_dir():
        raise ArgumentError(f"directory {directory.parent} does not exist; create it first")
    if not os.access(directory if directory.exists() else directory.parent, os.W_OK):
        raise ArgumentError(unwritable(directory, "no permission"))


def unwritable(directory: Path, reason: object) -> str:
    """The sentence for a directory that refuses."""
    return f"directory {directory} cannot be written ({reason}); choose another place"
