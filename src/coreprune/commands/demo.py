"""`coreprune demo`: the main job on data that come with the install."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from coreprune.commands.shared_options import JsonOption
from coreprune.commands.terminal import print_json, print_table, say, shown_progress
from coreprune.demo import DemoReport, run_demo


def demo(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("coreprune-demo"),
    as_json: JsonOption = False,
) -> None:
    """Train LeNet-300-100 on real digits, prune 90 % of it without data, compare the methods."""
    with shown_progress() as tell:
        report = run_demo(output, progress=tell)
    if as_json:
        print_json(report.to_json())
        return
    _print_demo(report)


def _print_demo(report: DemoReport) -> None:
    first = report.rows[0]
    print_table(
        ("method", "widths", "parameters", "kept", "accuracy", "tuned", "kB", "ms"),
        [
            (
                row.method,
                " ".join(map(str, row.widths)),
                f"{row.parameters:,}",
                f"{row.parameters / first.parameters:.1%}",
                f"{row.accuracy_pruned:.1%}",
                f"{row.accuracy_tuned:.1%}",
                f"{row.kilobytes:,.0f}",
                f"{row.milliseconds:.2f}",
            )
            for row in report.rows
        ],
        title="LeNet-300-100 on 1,000 held-out digits; pruning saw no data",
        caption="accuracy before and after fine-tuning; milliseconds for 64 images",
    )
    program = "coreprune" if shutil.which("coreprune") else sys.argv[0]
    command = (
        f"{program} prune coreprune.demo:LeNet300100 --weights {report.original} "
        "--input 1x784 --keep 0.5 -o lenet-small"
    )
    say(
        f"{report.seconds:.0f} s. The pruned network is in {report.pruned}; "
        f"prune the original yourself:\n  {command}"
    )
