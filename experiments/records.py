"""Records kept as soon as they are measured: an interrupted run goes on where it stopped."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def stored(
    folder: Path | None, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """A record from the folder, or measured now and kept there.

    Args:
        folder: Where records are kept; None keeps none.
        key: What decides the record; part of it.
        measure: Gives the rest.

    Returns:
        The key and what was measured.
    """
    if folder is None:
        return {**key, **measure()}
    path = place(folder, key).with_suffix(".json")
    if path.exists():
        return json.loads(path.read_text())
    record = {**key, **measure()}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    unfinished.replace(path)
    return record


def place(folder: Path, key: Mapping[str, Any]) -> Path:
    """A path of the key's own, without a dot: words for people and a hash of all of it."""
    words = "-".join(str(value) for value in key.values() if isinstance(value, str | float))
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    plain = "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in words)
    return folder / f"{plain}-{digest}"
