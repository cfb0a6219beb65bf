"""`coreprune verify`: its options, one call, its exit code."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from coreprune.option_values import array_of, space_of
from coreprune.report.publishing import publish
from coreprune.report_command import FiguresOption, ReportOption, Wish, context_of, typed
from coreprune.shared_options import JsonOption, WeightsOption, examples_of, module_of
from coreprune.shells.torch_module.checkpoint import build
from coreprune.shells.torch_module.files import read_record
from coreprune.terminal import complain, print_json, shown_progress
from coreprune.verification import verify_saved
from coreprune.verification_text import failure_of, print_verification


def verify(  # noqa: PLR0913, PLR0917 (one argument an option)
    model: Annotated[
        str, typer.Argument(metavar="ORIGINAL", help="package.module:factory, as for prune")
    ],
    pruned: Annotated[Path, typer.Argument(metavar="PRUNED", help="a directory that prune wrote")],
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
    wish = Wish(path=report, figures=figures)
    wish.check()
    around = None if samples is None else radius
    space = space_of(radius if samples is None else None, box)
    with shown_progress() as tell:
        tell("certifying", 0, 1)
        found = verify_saved(
            module_of(model, weights),
            pruned,
            into=build(model),
            space=space,
            example_inputs=examples_of(model, shapes) if shapes else None,
            samples=None if samples is None else torch.as_tensor(array_of(samples)),
            radius=around,
            effort=effort,
            seed=seed,
        )
    if wish.path is not None:
        context = replace(context_of(model, pruned), certified=found.to_json(), checked_by=typed())
        publish(read_record(pruned), wish.path, context=context, figures=wish.figures)
    if as_json:
        print_json(found.to_json())
    else:
        print_verification(found)
    if not found.holds:
        complain(f"coreprune: {failure_of(found)}")
        raise typer.Exit(1)
