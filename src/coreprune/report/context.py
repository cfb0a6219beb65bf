"""What a report tells beside the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["module", "onnx", "folder"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """What a record does not know.

    Attributes:
        name: What was pruned.
        kind: What it is.
        saved: Where the result is; None where it was not saved yet.
        factory: "package.module:function" that makes the original, where that is known.
        loading: How to load it, in a sentence, where that is no matter of its kind alone.
        command: What was typed to make it; None where Python called.
        checked_by: What was typed to have it certified anew, likewise.
        versions: Of the programs, by their names.
        comparison: `coreprune.Comparison` as JSON.
        certified: `coreprune.Certified`, or what `verify` found, as JSON.
    """

    name: str
    kind: Kind
    saved: str | None = None
    factory: str | None = None
    loading: str = ""
    command: str | None = None
    checked_by: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None
    certified: Mapping[str, Any] | None = None
