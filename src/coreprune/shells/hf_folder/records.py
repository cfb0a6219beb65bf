"""What pruning a folder gives back: frozen records, and their JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from coreprune.queries.normalised import LEAST
from coreprune.report.context import Context
from coreprune.report.programs import programs
from coreprune.report.publishing import publish

FORMAT, RECORD = 1, "coreprune.json"
"""The version of a folder's record, and the file that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """One feed-forward block that was cut.

    Attributes:
        name: The layer whose outputs go through the activation.
        neurons_before: n.
        neurons_after: m.
        kept: The neurons kept, sorted.
        activation: Its name.
        expected_error: The root mean square change of an output of the block under the law.
        relative_error: The same as a share of what the outputs vary by.
        certificate: No output of the block changes by more, whatever the model reads.
        certificate_norm: Nor do all together, in Euclidean norm.
        largest_seen: The largest change of an output on queries that were drawn.
        space: What the certificate speaks of, in words.
        ridge: λ of the system the weights solve, None where none was solved.
        condition_number: Of that system's matrix, likewise.
        num_draws: How many draws were made, for methods that draw with replacement.
        rows: Over how many tokens the moments were taken, None where the model was not run.
    """

    name: str
    neurons_before: int
    neurons_after: int
    kept: tuple[int, ...]
    activation: str
    expected_error: float
    relative_error: float
    certificate: float
    certificate_norm: float
    largest_seen: float
    space: str
    ridge: float | None
    condition_number: float | None
    num_draws: int | None
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderResult:
    """A pruned Hugging Face folder.

    Attributes:
        source: The folder that was read.
        target: The folder that was written.
        family: The row of the family table.
        method: How neurons were chosen.
        law: Of the queries, in words.
        seed: Of all draws.
        blocks: The blocks that were cut, in order.
        whole: Blocks that keep all their neurons, and why.
        widths: The config's entries for widths and their new values.
        parameters_before: Of all tensors.
        parameters_after: Of all tensors.
        left_out: Files that were not copied, because they hold the original's weights.
        notes: What else a user should know.
        model_class: The class of transformers whose `from_pretrained` reads it with its head.
    """

    source: Path
    target: Path
    family: str
    method: str
    law: str
    seed: int
    blocks: tuple[BlockRecord, ...]
    whole: Mapping[str, str]
    widths: Mapping[str, int]
    parameters_before: int
    parameters_after: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    model_class: str = "AutoModel"

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON takes it, but where the target is: that may be moved."""
        found = asdict(self) | {"source": self.source.name}
        del found["target"]
        return found

    def report(self, path: str | Path, *, figures: str | Path | None = None) -> None:
        """Write one HTML file that says what was done; it opens without a network.

        Args:
            path: The file; an older one is replaced.
            figures: A folder for its drawings as SVG files.

        Raises:
            ArgumentError: When a file cannot be written.
        """
        context = Context(
            name=self.source.name,
            kind="folder",
            saved=str(self.target),
            versions=programs("torch"),
        )
        publish(self.to_json(), path, context=context, figures=figures)


def is_of_few_tokens(block: BlockRecord) -> bool:
    """Whether a block's expected error is of tokens too few to say how others fare."""
    return block.rows is not None and block.rows < LEAST * block.neurons_before


def result_from_json(document: Mapping[str, Any], *, source: Path, target: Path) -> FolderResult:
    """A result as a folder's record tells it.

    Args:
        document: The record.
        source: The folder that was pruned.
        target: The folder that holds the record.

    Returns:
        What `FolderResult.to_json` was of.
    """
    names = {field.name for field in fields(FolderResult)} - {"source", "target"}
    found = {name: document[name] for name in names}
    found["blocks"] = tuple(record_from_json(entry) for entry in document["blocks"])
    found |= {name: tuple(document[name]) for name in ("left_out", "notes")}
    return FolderResult(source=source, target=target, **found)


def record_from_json(entries: Mapping[str, Any]) -> BlockRecord:
    """The inverse of `asdict` and a round through JSON."""
    return BlockRecord(**{**entries, "kept": tuple(entries["kept"])})
