"""The command line: words in, one library call, words or JSON out."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

import coreprune
from coreprune.budget import Keep
from coreprune.core.coreset import METHODS, Method
from coreprune.demo import DemoReport, run_demo
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.prune import Order
from coreprune.result import PruneResult
from coreprune.shells.torch_module.checkpoint import build, example_input, load_weights
from coreprune.shells.torch_module.files import check_target

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
out = Console()
err = Console(stderr=True)
UNBROKEN = 100_000  # columns, where no terminal says how many there are

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="package.module:factory, called without arguments")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help=".safetensors, .pt or .pth; without it the factory's own weights are used"),
]
InputOption = Annotated[
    list[str],
    typer.Option(
        "--input",
        help="shape of an input with its batch axis, as 1x784 or 1x16@int64; "
        "once for each positional argument",
    ),
]
SkipOption = Annotated[list[str] | None, typer.Option(help="a layer to leave whole; repeatable")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def main() -> None:
    """Run the program; a user's mistake is one line on standard error and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not end a run that is done
    try:
        app()
    except (ArgumentError, FileFormatError, UnsupportedModelError) as refusal:
        err.print(
            f"coreprune: {refusal}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coreprune {coreprune.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Make a trained network smaller, without data."""


@app.command()
def inspect(  # noqa: PLR0917 (typer reads options from arguments)
    model: ModelArgument,
    shapes: InputOption,
    weights: WeightsOption = None,
    skip: SkipOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every layer with the neurons that can be cut, or the reason why it stays whole."""
    with _progress() as tell:
        tell("reading the model", 0, 1)
        inspection = coreprune.inspect(_model(model, weights), _examples(shapes), skip=skip or ())
    if as_json:
        _print_json(inspection.to_json())
        return
    table = Table("layer", "neurons", "read by", "stays whole because")
    for layer in inspection.layers:
        neurons = "" if layer.neurons is None else str(layer.neurons)
        _add_row(table, layer.name, neurons, ", ".join(layer.consumers), layer.reason or "")
    _print_table(table)
    out.print(f"{inspection.reachable:.1%} of {inspection.parameters:,} parameters can be reached")
    for note in inspection.notes:
        out.print(f"not exported: {note}", markup=False, soft_wrap=True)


@app.command()
def prune(  # noqa: PLR0913, PLR0917 (one argument an option)
    model: ModelArgument,
    shapes: InputOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="a new directory")],
    weights: WeightsOption = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="share of neurons, as 0.5; or LAYER=SHARE, repeatable"),
    ] = None,
    parameters: Annotated[
        float | None, typer.Option(help="share of the network's parameters to keep")
    ] = None,
    neurons: Annotated[
        float | None, typer.Option(help="share of the neurons of all layers together to keep")
    ] = None,
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = "optimal",
    order: Annotated[str | None, typer.Option(help=" or ".join(get_args(Order)))] = None,
    radius: Annotated[float | None, typer.Option(help="norm of network inputs to plan for")] = None,
    round_to: Annotated[int, typer.Option(help="widths become multiples of this")] = 1,
    skip: SkipOption = None,
    seed: Annotated[int, typer.Option(help="fixes every random choice")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a smaller network into a new directory; read it back with coreprune.load."""
    wanted = _keep(keep or [], parameters=parameters, neurons=neurons)
    check_target(output)
    with _progress() as tell:
        result = coreprune.prune(
            _model(model, weights),
            _examples(shapes),
            keep=wanted,
            method=cast("Method", method),
            order=cast("Order | None", order),
            queries=None if radius is None else coreprune.Ball(radius),
            round_to=round_to,
            skip=skip or (),
            seed=seed,
            progress=tell,
        )
        result.save(output)
    if as_json:
        _print_json(result.to_json())
        return
    _print_summary(result, output)


def _print_summary(result: PruneResult, output: Path) -> None:
    table = Table("layer", "neurons", "kept", "expected error", "stays whole because")
    for group in result.groups:
        expected = "" if group.expected_error is None else f"{group.expected_error:.2g}"
        widths = (str(group.neurons_before), str(group.neurons_after))
        _add_row(table, group.name, *widths, expected, "")
    for entry in result.whole:
        _add_row(table, entry.name, "", "", "", entry.reason)
    _print_table(table)
    if any(group.expected_error is not None for group in result.groups):
        out.print(f"errors expected over {result.law}", markup=False, soft_wrap=True)
    share = result.parameters_after / result.parameters_before
    out.print(
        f"{result.parameters_before:,} → {result.parameters_after:,} parameters ({share:.1%}), "
        f"written to {output}",
        markup=False,
        soft_wrap=True,
    )
    for note in result.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("coreprune-demo"),
    as_json: JsonOption = False,
) -> None:
    """Train LeNet-300-100 on real digits, prune 90 % of it without data, compare the methods."""
    with _progress() as tell:
        report = run_demo(output, progress=tell)
    if as_json:
        _print_json(report.to_json())
        return
    _print_demo(report)


def _print_demo(report: DemoReport) -> None:
    first = report.rows[0]
    table = Table(
        "method", "widths", "parameters", "kept", "accuracy", "tuned", "kB", "ms",
        title="LeNet-300-100 on 1,000 held-out digits; pruning saw no data",
        caption="accuracy before and after fine-tuning; milliseconds for 64 images",
    )  # fmt: skip
    for row in report.rows:
        _add_row(
            table,
            row.method,
            " ".join(map(str, row.widths)),
            f"{row.parameters:,}",
            f"{row.parameters / first.parameters:.1%}",
            f"{row.accuracy_pruned:.1%}",
            f"{row.accuracy_tuned:.1%}",
            f"{row.kilobytes:,.0f}",
            f"{row.milliseconds:.2f}",
        )
    _print_table(table)
    program = "coreprune" if shutil.which("coreprune") else sys.argv[0]
    command = (
        f"{program} prune coreprune.demo:LeNet300100 --weights {report.original} "
        "--input 1x784 --keep 0.5 -o lenet-small"
    )
    out.print(
        f"{report.seconds:.0f} s. The pruned network is in {report.pruned}; "
        f"prune the original yourself:\n  {command}",
        markup=False,
        soft_wrap=True,
    )


def _add_row(table: Table, *cells: str) -> None:
    """Names and reasons are the user's own text: what looks like markup is none."""
    table.add_row(*(Text(cell, overflow="fold") for cell in cells))


def _print_table(table: Table) -> None:
    """Rows wrap on a terminal, and are whole lines in a file or a pipe."""
    console = out if out.is_terminal else Console(file=out.file, width=UNBROKEN)
    console.print(table)


def _model(factory: str, weights: Path | None) -> nn.Module:
    model = build(factory)
    if weights is not None:
        load_weights(model, weights)
    return model


def _examples(shapes: list[str]) -> tuple[Tensor, ...]:
    return tuple(example_input(shape) for shape in shapes)


def _keep(keep: list[str], *, parameters: float | None, neurons: float | None) -> Keep:
    """The one target among the options.

    Raises:
        BadParameter: When there is none, or more than one.
    """
    if sum([bool(keep), parameters is not None, neurons is not None]) != 1:
        raise typer.BadParameter("give one of --keep, --parameters and --neurons")
    return _shares(keep) if keep else coreprune.Budget(parameters=parameters, neurons=neurons)


def _shares(keep: list[str]) -> Keep:
    """What --keep says.

    Raises:
        BadParameter: When a share is no number, or a layer has two.
    """
    shares = [entry.rpartition("=") for entry in keep]
    try:
        if len(shares) == 1 and not shares[0][1]:
            return float(shares[0][2])
        if all(layer for layer, _, _ in shares):
            share_of = {layer: float(share) for layer, _, share in shares}
            if len(share_of) == len(shares):
                return share_of
    except ValueError:
        pass
    raise typer.BadParameter(
        f"--keep takes one share, or LAYER=SHARE once for each layer; got {', '.join(keep)}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error while work goes on, silent where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def tell(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        yield tell


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))
