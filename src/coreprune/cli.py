"""The program: its commands, its exit codes, and a refusal in one line."""

import errno
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

import coreprune
from coreprune.commands.option_words import in_options
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError

COMMANDS = {
    "inspect": "List every layer with the neurons that can be cut, "
    "or the reason why it stays whole.",
    "prune": "Write a smaller network into a new directory, or a smaller .onnx file or folder.",
    "report": "Write the report of a network that was saved; its record is all that is read.",
    "verify": "Prove again how far the pruned network can be off, attack it, "
    "check what was stored.",
    "demo": "Train LeNet-300-100 on real digits, prune 90 % of it without data, "
    "compare the methods.",
}
"""First lines of their docstrings, in the order of the help, which does not wait for imports."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of errors in writing: that there is no room, be it for a file or what standard output goes to."""


class _Command(TyperCommand):
    """A command that imports its module, and torch with it, when its options are asked for."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 (typer's own types are private)
        """Asked for before a call and before its own help, not for the list of commands."""
        if not self.params:
            alone = typer.Typer(add_completion=False)
            module = importlib.import_module(f"coreprune.commands.{self.name}")
            alone.command()(getattr(module, str(self.name)))
            made = typer.main.get_command(alone)
            options = importlib.import_module("coreprune.commands.folder_options")
            for parameter in made.params:
                if isinstance(parameter, TyperOption) and parameter.name in options.WAYS:
                    parameter.help = f"{parameter.help} (modules and files)"
            self.params, self.callback = made.params, made.callback
        return super().get_params(ctx)


def _not_imported() -> None:
    """Stands for a command until its module is imported."""


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
for name, summary in COMMANDS.items():
    app.command(name, cls=_Command, help=summary)(_not_imported)


def main() -> None:
    """Run the program; a user's mistake is one line on standard error and exit code 1.

    Raises:
        OSError: When the system refuses what nobody foresaw, a broken pipe and a full disk aside.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not end a run that is done
    try:
        with _quiet():
            app()
    except (ArgumentError, FileFormatError, UnsupportedModelError) as refusal:
        from coreprune.commands.terminal import complain  # rich takes longer than the help

        complain(f"coreprune: {in_options(str(refusal), _words(sys.argv[1:]))}")
        sys.exit(1)
    except OSError as reason:
        if reason.errno not in FULL:
            raise
        from coreprune.commands.terminal import complain

        complain(
            f"coreprune: the output cannot be written ({reason}); make room, or send it elsewhere"
        )
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


def _words(typed: Sequence[str]) -> Iterator[str]:
    """The options of the command that was typed, and the names of its arguments."""
    program = typer.main.get_group(app)
    command = next((program.commands[word] for word in typed if word in program.commands), None)
    for parameter in command.get_params(typer.Context(program)) if command else ():
        if parameter.param_type_name == "argument":
            yield str(parameter.metavar)
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
