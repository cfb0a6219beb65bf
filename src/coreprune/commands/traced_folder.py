"""A pruned module of transformers, back into a folder."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import torch
from torch import nn

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.result import PruneResult
from coreprune.shells.hf_folder.config import CONFIG, OWN_CODE, read_entries
from coreprune.shells.hf_folder.files import files_beside
from coreprune.shells.hf_folder.pretrained import pretrained
from coreprune.shells.hf_folder.weights import INDEX, SINGLE
from coreprune.shells.torch_module.files import RECORD, WEIGHTS, check_target

_WIDTH = re.compile(r"intermediate|inner|ffn|mlp|feed_?forward|d_ff|hidden_dim")
"""What entries of a config are called that may hold the width of feed-forward blocks."""


def save_traced(result: PruneResult, source: Path, target: Path) -> str:
    """Write a pruned module with the other files of the folder that it came from.

    Where config.json has entries for the widths, it gets the new ones, and transformers reads the
    folder; that is tried before the folder appears. Where not, the weights are under the name that
    `coreprune.load` reads, and config.json is the original's.

    Args:
        result: Of a module that `pretrained` made.
        source: The folder that it was made of.
        target: A new folder.

    Returns:
        How to load it, in one sentence.

    Raises:
        ArgumentError: When the target is not new or cannot be written.
    """
    check_target(target)
    staging = target.parent / f".coreprune-{uuid4().hex}"
    name = type(result.model).__name__
    try:
        result.save(staging)
        for file in files_beside(source, written=frozenset({RECORD, WEIGHTS, SINGLE, INDEX}))[0]:
            (staging / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, staging / file)
        entries = _entries_after(result, read_entries(source))
        readable = bool(entries) and _is_read(result, staging, entries)
        staging.replace(target)
    except OSError as reason:
        raise ArgumentError(
            f"target {target} cannot be written ({reason}); make room or choose another place"
        ) from reason
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if readable:
        return f"transformers reads it: transformers.{name}.from_pretrained({str(target)!r})"
    return (
        "its config has no entries for these widths, so from_pretrained does not read it; load it "
        f"with coreprune.load({str(target)!r}, into=transformers.{name}("
        f"transformers.AutoConfig.from_pretrained({str(target)!r})))"
    )


def with_notes(result: PruneResult, source: Path) -> PruneResult:
    """A result with what else there is to say of the folder that its module came from."""
    if "auto_map" not in read_entries(source):
        return result
    own = type(result.model).__name__
    return replace(result, notes=(*result.notes, f"{OWN_CODE}: the model is transformers' {own}"))


def _entries_after(result: PruneResult, config: Mapping[str, object]) -> dict[str, int]:
    """The config's entries that hold a width which all layers of that width lost alike."""
    widths: dict[int, set[int]] = {}
    for group in result.groups:
        widths.setdefault(group.neurons_before, set()).add(group.neurons_after)
    return {
        name: next(iter(widths[value]))
        for name, value in config.items()
        if isinstance(value, int) and _WIDTH.search(name) and len(widths.get(value, ())) == 1
    }


def _is_read(result: PruneResult, folder: Path, entries: Mapping[str, int]) -> bool:
    """Give the folder the config and the name that transformers reads, and keep them if it does."""
    before = (folder / CONFIG).read_text(encoding="utf-8")
    config = json.loads(before) | entries
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / WEIGHTS).rename(folder / SINGLE)
    try:
        if _are_alike(pretrained(folder), result.model):
            return True
    except (FileFormatError, UnsupportedModelError):
        pass  # the widths are not what those entries say
    (folder / SINGLE).rename(folder / WEIGHTS)
    (folder / CONFIG).write_text(before, encoding="utf-8")
    return False


def _are_alike(one: nn.Module, other: object) -> bool:
    """Whether two modules hold the same tensors."""
    if not isinstance(other, nn.Module):
        return False
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )
