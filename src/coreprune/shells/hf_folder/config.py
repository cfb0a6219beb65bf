"""The config.json of a folder: which family it is, and what it says of the blocks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.shells.hf_folder.families import FAMILIES, BlockKind, Family, family_of

CONFIG = "config.json"
OWN_CODE = "config.json names code of its own as auto_map; it was copied, not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What config.json says.

    Attributes:
        path: The file.
        entries: All of it.
        family: Its row of the table.
    """

    path: Path
    entries: Mapping[str, Any]
    family: Family

    @property
    def model_class(self) -> str:
        """The class of transformers that reads the folder with its head.

        The one that is named first; AutoModel, which leaves heads out, where none is, or its code
        may be the folder's own.
        """
        names = self.entries.get("architectures")
        first = names[0] if isinstance(names, list) and names else None
        named = isinstance(first, str) and first.isidentifier() and "auto_map" not in self.entries
        return str(first) if named else "AutoModel"

    def number(self, *names: str) -> int:
        """The first of some entries that is there and not null.

        Raises:
            FileFormatError: When none is, or it is no positive whole number.
        """
        found = (self.entries.get(name) for name in names)
        value = next((value for value in found if value is not None), None)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise FileFormatError(
                f"{self.path} must have a positive whole number as {' or '.join(names)}, "
                f"got {value!r}; take the config.json that belongs to the weights"
            )
        return value

    def width(self, kind: BlockKind) -> int:
        """The width of one kind of block.

        Raises:
            FileFormatError: When it is no positive whole number.
        """
        if kind.width_factor is not None and self.entries.get(kind.width) is None:
            return kind.width_factor * self.number(kind.hidden)
        return self.number(kind.width)

    def activation(self, kind: BlockKind) -> str:
        """The name of the activation that is meant.

        Raises:
            FileFormatError: When none is given.
        """
        named = (self.entries.get(name) for name in kind.activation)
        value = next((name for name in named if name is not None), kind.default_activation)
        if not isinstance(value, str):
            raise FileFormatError(
                f"{self.path} must name the activation as {' or '.join(kind.activation)}, "
                f"got {value!r}; take the config.json that belongs to the weights"
            )
        return kind.activation_meant.get(value, value)


def read_config(folder: Path, *, family: Family | None = None) -> Config:
    """Read a folder's config.json; no code that it names is loaded.

    Args:
        folder: The Hugging Face folder.
        family: The row that speaks of it; None looks it up in the table.

    Returns:
        The config with its family.

    Raises:
        ArgumentError: When there is no such folder or no config.json in it.
        FileFormatError: When the file is damaged.
        UnsupportedModelError: When the family is not in the table, or the weights are quantised.
    """
    entries = read_entries(folder)
    path, model_type = folder / CONFIG, entries.get("model_type")
    family = family or _family(entries)
    if family is None:
        known = ", ".join(name for one in FAMILIES for name in one.model_types)
        raise UnsupportedModelError(
            f"{path} has model_type {model_type!r}, which is in no row of the family table "
            f"({known}); a row needs the names of the block's layers and of the norm before it, "
            "and the config's entries for width, layers and activation: pass "
            "it as family=, see docs/families.md; or load it with transformers and give the module "
            "to coreprune.prune"
        )
    if entries.get("quantization_config") is not None:
        raise UnsupportedModelError(
            f"{path} has a quantization_config; prune the unquantised model and quantise the result"
        )
    return Config(path=path, entries=entries, family=family)


def read_entries(folder: Path) -> dict[str, Any]:
    """All that a folder's config.json says, of whatever family.

    Raises:
        ArgumentError: When there is no such folder or no config.json in it.
        FileFormatError: When the file is damaged.
    """
    if not folder.is_dir():
        raise ArgumentError(f"source must be a folder, got {folder}")
    if not (folder / CONFIG).is_file():
        raise ArgumentError(
            f"source must be a Hugging Face folder, but {folder} has no {CONFIG}; "
            "pass the folder that save_pretrained wrote"
        )
    return read_json(folder / CONFIG)


def has_row(folder: Path) -> bool:
    """Whether the family table speaks of a folder.

    Raises:
        ArgumentError: When there is no such folder or no config.json in it.
        FileFormatError: When the file is damaged.
    """
    return _family(read_entries(folder)) is not None


def _family(entries: Mapping[str, Any]) -> Family | None:
    model_type = entries.get("model_type")
    return family_of(model_type) if isinstance(model_type, str) else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        FileFormatError: When it does not, or cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as reason:
        raise FileFormatError(f"{path} cannot be read ({reason}); fetch it again") from reason
    if not isinstance(found, dict):
        raise FileFormatError(f"{path} must hold a JSON object, got {type(found).__name__}")
    return found
