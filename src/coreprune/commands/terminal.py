"""What the program prints: tables, sentences, progress, JSON."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

out = Console()
err = Console(stderr=True)
UNBROKEN = 100_000  # columns, where no terminal says how many there are


def say(sentence: str) -> None:
    """Print a sentence as it is: what looks like markup is the user's own text."""
    out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def complain(sentence: str) -> None:
    """Print a refusal on standard error, in one line."""
    err.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


def print_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", caption: str = ""
) -> None:
    """Rows wrap on a terminal; in a file or a pipe they are whole lines, unless COLUMNS is set."""
    table = Table(*heads, title=title or None, caption=caption or None)
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    whole = not out.is_terminal and "COLUMNS" not in os.environ
    console = Console(file=out.file, width=UNBROKEN) if whole else out
    console.print(table)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output, null where a number is none or has no end."""
    typer.echo(json.dumps(_finite(document), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """The same without infinity and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error while work goes on, silent where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def tell(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        yield tell
