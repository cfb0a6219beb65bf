"""Queries that are dear to make, kept on disk: an interrupted run goes on where it stopped."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


def directory() -> Path | None:
    """Where they are kept: `COREPRUNE_CACHE`, else the user's cache directory.

    Returns:
        The directory, which need not exist; None where there is none, or where `COREPRUNE_CACHE`
        is set to nothing.
    """
    if (given := os.environ.get("COREPRUNE_CACHE")) is not None:
        return Path(given) if given else None
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "coreprune"
    try:
        return Path.home() / ".cache" / "coreprune"
    except RuntimeError:  # no home
        return None


def name_of(origin: Mapping[str, object]) -> str:
    """The name of queries by all that decides what they are.

    Args:
        origin: Values that JSON or `str` tell apart.

    Returns:
        A hash.
    """
    words = json.dumps(origin, sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()


def kept(name: str, shape: tuple[int, ...]) -> Tensor | None:
    """What was kept under a name.

    Args:
        name: As `name_of` gives it.
        shape: That of the queries.

    Returns:
        The queries; None where there are none, or what is there is damaged.
    """
    folder = directory()
    if folder is None:
        return None
    try:
        found = load_file(_path(folder, name)).get("queries")
    except (OSError, SafetensorError):
        return None
    sound = found is not None and found.shape == shape and bool(found.isfinite().all())
    return found if sound else None


def keep(name: str, queries: Tensor) -> None:
    """Keep queries under a name, so far as the disk lets us: nothing depends on it.

    Args:
        name: As `name_of` gives it.
        queries: On the CPU.
    """
    folder = directory()
    if folder is None:
        return
    path = _path(folder, name)
    with contextlib.suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as aside:
            unfinished = Path(aside) / path.name
            save_file({"queries": queries.contiguous()}, unfinished)
            unfinished.replace(path)  # whole or not at all, whoever else writes it


def _path(folder: Path, name: str) -> Path:
    return folder / "queries" / f"{name}.safetensors"
