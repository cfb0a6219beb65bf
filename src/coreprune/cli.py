"""The program: its commands, its exit codes, and a refusal in one line."""

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

import coreprune
from coreprune.commands.demo import demo
from coreprune.commands.inspect import inspect
from coreprune.commands.option_words import in_options
from coreprune.commands.prune import prune
from coreprune.commands.report import report
from coreprune.commands.terminal import complain
from coreprune.commands.verify import verify
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError

COMMANDS: tuple[Callable[..., None], ...] = (inspect, prune, report, verify, demo)
"""In the order of the help."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in COMMANDS:
    app.command(help=(command.__doc__ or "").partition("\n")[0])(command)


def main() -> None:
    """Run the program; a user's mistake is one line on standard error and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not end a run that is done
    try:
        with _quiet():
            app()
    except (ArgumentError, FileFormatError, UnsupportedModelError) as refusal:
        complain(f"coreprune: {in_options(str(refusal), _long_options(sys.argv[1:]))}")
        sys.exit(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings kept off the terminal, unless Python was asked for them, as by `python -W`.

    What of them concerns the user is in the result's notes.
    """
    if sys.warnoptions:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _long_options(words: Sequence[str]) -> Iterator[str]:
    """Of the command that was typed."""
    commands = typer.main.get_group(app).commands
    typed = next((commands[word] for word in words if word in commands), None)
    for parameter in typed.params if typed else ():
        yield from (option for option in parameter.opts if option.startswith("--"))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coreprune {coreprune.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Make a trained network smaller, without data."""
