"""`coreprune prune`: its options, one call, what it prints of the result."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

import coreprune
from coreprune.commands.folder_options import FOLDER_LAWS, check_applicable
from coreprune.commands.folders import prune_given_folder
from coreprune.commands.option_values import LAWS, keep_of, law_of, repair_of
from coreprune.commands.option_words import IN_NOTES, in_options
from coreprune.commands.report import context_of, report_folder, report_pruned, typed
from coreprune.commands.report_options import FiguresOption, ReportOption, ReportWish, ScoreOption
from coreprune.commands.shared_options import (
    InputOption,
    JsonOption,
    ModelArgument,
    SkipOption,
    WeightsOption,
    examples_of,
    given_of,
    is_folder,
    model_of,
)
from coreprune.commands.terminal import print_json, print_table, say, shown_progress
from coreprune.commands.traced_folder import save_traced, with_notes
from coreprune.commands.whole_layers import whole_layers
from coreprune.core.coreset import METHODS, Method
from coreprune.errors import ArgumentError
from coreprune.opening import is_file
from coreprune.prune_arguments import Order
from coreprune.report.sentences import has_errors, is_of_outputs, sentences
from coreprune.result import PruneResult
from coreprune.shells.hf_folder.config import has_row
from coreprune.shells.hf_folder.crew import Crew
from coreprune.shells.onnx_file.writing import check_place
from coreprune.shells.torch_module.files import check_target
from coreprune.sizes.curve import CurvePoint

ROWS = 25
"""Of the curve, at most about this many are printed."""

NOT_OF_CURVES = (
    "output", "keep", "parameters", "flops", "size", "neurons", "error", "certified", "lossless",
    "order", "repair", "report", "figures", "score",
)  # fmt: skip
"""Parameters that say how far to prune, how, or where to: `--curve` prices every size."""


def prune(  # noqa: PLR0913, PLR0917 (one argument an option)
    context: typer.Context,
    model: ModelArgument,
    shapes: InputOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="a new directory, or the new .onnx file; needed to prune"
        ),
    ] = None,
    weights: WeightsOption = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="share of neurons, as 0.5; or LAYER=SHARE, repeatable"),
    ] = None,
    parameters: Annotated[
        float | None, typer.Option(help="share of the network's parameters to keep")
    ] = None,
    flops: Annotated[
        float | None, typer.Option(help="share of its floating-point operations to keep")
    ] = None,
    size: Annotated[
        float | None, typer.Option("--bytes", help="share of its parameters' bytes to keep")
    ] = None,
    neurons: Annotated[
        float | None, typer.Option(help="share of the neurons of all layers together to keep")
    ] = None,
    error: Annotated[
        float | None, typer.Option(help="expected error of the outputs, in their units")
    ] = None,
    certified: Annotated[
        float | None, typer.Option(help="proven error of every output, in its units")
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="remove only what outputs do not depend on")
    ] = False,
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = "optimal",
    order: Annotated[str | None, typer.Option(help=" or ".join(get_args(Order)))] = None,
    queries: Annotated[
        str | None, typer.Option(help=f"inputs to plan for: {LAWS}; {FOLDER_LAWS}")
    ] = None,
    round_to: Annotated[int, typer.Option(help="widths become multiples of this")] = 1,
    repair: Annotated[
        str | None, typer.Option(help="train without data afterwards: steps as 2000, or 60s")
    ] = None,
    only_curve: Annotated[
        bool, typer.Option("--curve", help="print what every size costs and prune nothing")
    ] = False,
    skip: SkipOption = None,
    report: ReportOption = None,
    figures: FiguresOption = None,
    score: ScoreOption = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="of a folder, the transformer layers to cut, as 2:10 or -4:; the config has one "
            "width for all, so that coreprune.load reads the result, and from_pretrained does not"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="of a folder, how many blocks are cut at a time, one a process")
    ] = 1,
    threads: Annotated[
        int, typer.Option(help="of a folder, threads of each block; last digits depend on them")
    ] = 1,
    ray_address: Annotated[
        str | None,
        typer.Option(help="of a folder: the Ray cluster that cuts it, as 10.0.0.1:6379, or local"),
    ] = None,
    seed: Annotated[int, typer.Option(help="fixes every random choice")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a smaller network into a new directory, or a smaller .onnx file or folder."""
    by_blocks = is_folder(model) and has_row(Path(model))
    check_applicable(context, by_blocks=by_blocks)
    if only_curve:
        _check_curve_alone(context)
    wish = ReportWish(path=report, figures=figures, score=score).checked()
    if by_blocks:
        prune_given_folder(
            Path(model),
            output,
            keep=keep or [],
            method=cast("Method", method),
            queries=queries,
            round_to=round_to,
            layers=layers,
            crew=Crew(workers=workers, ray_address=ray_address),
            threads=threads,
            seed=seed,
            repair=repair,
            as_json=as_json,
        )
        report_folder(output, wish)
        return
    budgets = {
        "parameters": parameters,
        "flops": flops,
        "bytes": size,
        "neurons": neurons,
        "error": error,
        "certified": certified,
    }
    said: dict[str, Any] = {
        "method": method,
        "queries": None if queries is None else law_of(queries),
        "round_to": round_to,
        "skip": skip or (),
        "seed": seed,
    }
    if only_curve:
        with shown_progress() as tell:
            made = model_of(model, weights)
            points = coreprune.curve(
                made, examples_of(model, shapes, made=made), progress=tell, **said
            )
        _print_curve(points, as_json=as_json)
        return
    wanted = keep_of(keep or [], budgets, lossless=lossless)
    target = _new_target(output, model)
    with shown_progress() as tell:
        made = model_of(model, weights)
        examples = examples_of(model, shapes, made=made)
        result = coreprune.prune(
            made,
            examples,
            keep=wanted,
            lossless=lossless,
            order=cast("Order | None", order),
            repair=None if repair is None else repair_of(repair),
            progress=tell,
            **said,
        )
        result, told = _saved(result, model, target)
        report_pruned(
            result,
            wish,
            context=replace(context_of(model, target), command=typed(), loading=told),
            networks=(made, examples),
            tell=tell,
        )
    if as_json:
        print_json(result.to_json())
        return
    _print_summary(result, target)
    if told:
        say(told)


def _check_curve_alone(context: typer.Context) -> None:
    """Refuse what `--curve` would leave undone.

    Raises:
        BadParameter: When options are given that only pruning has a use for.
    """
    if given := given_of(context, NOT_OF_CURVES):
        raise typer.BadParameter(
            f"--curve prunes nothing: leave out {', '.join(given.values())}, or --curve"
        )


def _saved(result: PruneResult, model: str, target: Path) -> tuple[PruneResult, str]:
    """Write a result; the same with notes on the folder it came from, and how that is loaded."""
    if is_folder(model):
        result = with_notes(result, Path(model))
        return result, save_traced(result, Path(model), target)
    result.save(target)
    return result, ""


def _new_target(output: Path | None, model: str) -> Path:
    """Where the result goes.

    Raises:
        BadParameter: When that was not said, or is no place for it.
    """
    if output is None:
        raise typer.BadParameter("give --output PLACE, or --curve to prune nothing")
    if not is_file(model):
        check_target(output)
    elif output.suffix != ".onnx":
        raise typer.BadParameter(f"give --output a name that ends in .onnx, not {output}")
    elif output.exists() and Path(model).exists() and output.samefile(model):
        raise typer.BadParameter(f"give --output another file than the original, {model}")
    else:
        _check_new_file(output)
    return output


def _check_new_file(output: Path) -> None:
    """Refuse a file that is there already, or cannot be written.

    Raises:
        ArgumentError: Naming it and the way out.
    """
    check_place(output)
    if os.path.lexists(output):
        raise ArgumentError(f"output {output} exists already; name a new one, or remove it")


def _print_curve(points: Sequence[CurvePoint], *, as_json: bool) -> None:
    if as_json:
        print_json({"curve": [asdict(point) for point in points]})
        return
    print_table(
        ("parameters", "flops", "bytes", "neurons", "expected error", "widths"),
        [
            (
                *(
                    f"{share:.1%}"
                    for share in (point.parameters, point.flops, point.bytes, point.neurons)
                ),
                f"{point.expected_error:.3g}",
                " ".join(f"{name}={width}" for name, width in point.widths.items()),
            )
            for point in (*points[: -1 : max(1, len(points) // ROWS)], points[-1])
        ],
        caption="errors: root mean square change of the outputs, in their units; without "
        "derivatives, of what reads the layers, in its units",
    )


def _print_summary(result: PruneResult, output: Path) -> None:
    whole = whole_layers((entry.name, entry.reason) for entry in result.whole)
    print_table(
        ("layer", "neurons", "kept", "expected error", "stays whole because"),
        [
            (
                group.name,
                str(group.neurons_before),
                str(group.neurons_after),
                "" if group.output_error is None else f"{group.output_error:.2g}",
                "",
            )
            for group in result.groups
        ]
        + [(name, "", "", "", reason) for name, reason in whole.rows],
    )
    for sentence in whole.sentences:
        say(sentence)
    record = result.to_json()
    if has_errors(record):
        what = (
            "errors of the outputs, in their units"
            if is_of_outputs(record)
            else "errors in the units of what reads the layers, not of the outputs"
        )
        say(f"{what}, over {result.law}")
    elif result.measured_error is not None:
        say(f"measured over {result.law}")
    for sentence in sentences(record):
        say(sentence)
    for note in result.notes:
        say(f"note: {in_options(note, IN_NOTES)}")
    share = result.parameters_after / result.parameters_before
    say(
        f"{result.parameters_before:,} → {result.parameters_after:,} parameters ({share:.1%}), "
        f"written to {output}"
    )
