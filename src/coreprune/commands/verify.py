"""`coreprune verify`: its options, one call, its exit code."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from coreprune.commands.folder_options import check_applicable
from coreprune.commands.folders import verify_given_folder
from coreprune.commands.option_values import array_of, space_of
from coreprune.commands.report import context_of, record_of, typed
from coreprune.commands.report_options import FiguresOption, ReportOption, ReportWish
from coreprune.commands.shared_options import (
    JsonOption,
    WeightsOption,
    examples_of,
    is_folder,
    model_of,
    module_of,
)
from coreprune.commands.terminal import complain, print_json, shown_progress
from coreprune.commands.verification_text import failure_of, print_verification
from coreprune.opening import is_file
from coreprune.report.publishing import publish
from coreprune.shells.hf_folder.config import has_row
from coreprune.verification import verify_saved


def verify(  # noqa: PLR0913, PLR0917 (one argument an option)
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="ORIGINAL",
            help="package.module:factory, a folder or an .onnx file, as for prune",
        ),
    ],
    pruned: Annotated[
        Path,
        typer.Argument(metavar="PRUNED", help="the directory or .onnx file that prune wrote"),
    ],
    weights: WeightsOption = None,
    shapes: Annotated[
        list[str] | None, typer.Option("--input", help="shape of an input, where it is not plain")
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(help="inputs of at most this norm; with --samples, this near to a sample"),
    ] = None,
    box: Annotated[str | None, typer.Option(help="inputs between LOW:HIGH, as 0:1")] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help=".npy or .npz of inputs whose classes, all around, are asked for"),
    ] = None,
    effort: Annotated[float | None, typer.Option(help="seconds for each certificate")] = None,
    report: ReportOption = None,
    figures: FiguresOption = None,
    seed: Annotated[int, typer.Option(help="fixes the attack")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Prove again how far the pruned network can be off, attack it, check what was stored.

    Raises:
        Exit: With code 1 when a certificate does not hold.
    """
    wish = ReportWish(path=report, figures=figures).checked()
    if is_folder(model) and has_row(Path(model)):
        check_applicable(context, by_blocks=True)
        verify_given_folder(Path(model), pruned, wish=wish, seed=seed, as_json=as_json)
        return
    around = None if samples is None else radius
    space = space_of(radius if samples is None else None, box)
    with shown_progress() as tell:
        tell("certifying", 0, 1)
        original = model_of(model, weights)
        asked = shapes or is_folder(model)
        found = verify_saved(
            original,
            pruned,
            into=None if is_file(model) else module_of(model, None),
            space=space,
            example_inputs=examples_of(model, shapes, made=original) if asked else None,
            samples=None if samples is None else torch.as_tensor(array_of(samples)),
            radius=around,
            effort=effort,
            seed=seed,
        )
    if wish.path is not None:
        told = replace(context_of(model, pruned), certified=found.to_json(), checked_by=typed())
        publish(record_of(pruned)[0], wish.path, context=told, figures=wish.figures)
    if as_json:
        print_json(found.to_json())
    else:
        print_verification(found)
    if not found.holds:
        complain(f"coreprune: {failure_of(found)}")
        raise typer.Exit(1)
