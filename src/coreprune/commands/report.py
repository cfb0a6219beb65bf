"""`coreprune report`, and the reports that other commands write."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import Tensor, nn

from coreprune.commands.report_options import FiguresOption, ReportWish
from coreprune.commands.shared_options import is_folder
from coreprune.commands.terminal import say
from coreprune.compare import compare
from coreprune.errors import FileFormatError
from coreprune.opening import is_file
from coreprune.progress import Progress
from coreprune.report.context import Context, Kind
from coreprune.report.programs import programs
from coreprune.report.publishing import publish
from coreprune.result import PruneResult
from coreprune.shells.hf_folder.config import read_json
from coreprune.shells.hf_folder.folder_record import is_folder_record
from coreprune.shells.onnx_file.document import read
from coreprune.shells.onnx_file.record import record_in
from coreprune.shells.torch_module.checkpoint import imported
from coreprune.shells.torch_module.files import RECORD, read_record


def report_pruned(
    result: PruneResult,
    wish: ReportWish,
    *,
    context: Context,
    networks: tuple[nn.Module | Path, tuple[Tensor, ...] | None],
    tell: Progress,
) -> None:
    """Measure both networks and write what `prune` is asked to report, if anything.

    Args:
        result: What pruning gave back.
        wish: The report.
        context: Of the command.
        networks: The original and its example inputs.
        tell: Called as (what, done, of).

    Raises:
        ArgumentError: When the score cannot be found, or a file cannot be written.
    """
    if wish.path is None:
        return
    score = None if wish.score is None else imported(wish.score, argument="--score")
    tell("measuring latency", 0, 1)
    original, examples = networks
    packages = ("torch", "onnxruntime") if context.kind == "onnx" else ("torch",)
    context = replace(
        context,
        versions=programs(*packages),
        comparison=compare(original, result.model, examples, score=score).to_json(),
    )
    publish(result.to_json(), wish.path, context=context, figures=wish.figures)


def context_of(model: str, saved: Path) -> Context:
    """What the command line says of a model and where its result is."""
    of_file = is_file(model)
    of_files = of_file or is_folder(model)
    return Context(
        name=Path(model).name if of_files else model.rpartition(":")[2],
        kind="onnx" if of_file else "module",
        saved=str(saved),
        factory=None if of_files else model,
    )


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["coreprune", *sys.argv[1:]])


def report(
    saved: Annotated[
        Path, typer.Argument(metavar="PRUNED", help="what prune wrote: a directory or .onnx file")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the .html file")],
    figures: FiguresOption = None,
) -> None:
    """Write the report of a network that was saved; its record is all that is read.

    Raises:
        FileFormatError: When there is no sound record.
    """
    wish = ReportWish(path=output, figures=figures).checked()
    report_saved(saved, wish)
    say(f"written to {output}")


def report_folder(
    saved: Path | None, wish: ReportWish, *, certified: Mapping[str, Any] | None = None
) -> None:
    """Write what `prune` is asked to report of a folder, or `verify`, if anything."""
    if saved is not None and wish.path is not None:
        context = Context(name=saved.name, kind="folder", saved=str(saved))
        if certified is None:
            context = replace(context, command=typed())
        else:
            context = replace(context, certified=certified, checked_by=typed())
        report_saved(saved, wish, context=context)


def report_saved(saved: Path, wish: ReportWish, *, context: Context | None = None) -> None:
    """Write the report of a saved record.

    Raises:
        FileFormatError: When there is no sound record.
    """
    record, kind = record_of(saved)
    context = context or Context(name=saved.name, kind=kind, saved=str(saved))
    try:
        publish(record, wish.path or saved, context=context, figures=wish.figures)
    except (KeyError, TypeError) as reason:
        raise FileFormatError(
            f"the record in {saved} is damaged or of an older version ({reason!r}); prune again"
        ) from reason


def record_of(saved: Path) -> tuple[Mapping[str, Any], Kind]:
    """The record of a result, and what it is of.

    Raises:
        FileFormatError: When it is missing or damaged.
    """
    if is_file(str(saved)):
        return record_in(read(saved)), "onnx"
    if is_folder_record(saved / RECORD):
        return read_json(saved / RECORD), "folder"
    return read_record(saved), "module"
