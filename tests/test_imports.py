"""What `import coreprune` brings along; `python -m benchmarks` has the seconds."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import coreprune
from coreprune import cli

FOR_A_JOB = {
    "accelerate",
    "jinja2",
    "matplotlib",
    "mlxtend",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "pooch",
    "ray",
    "scipy",
    "sklearn",
    "tokenizers",
    "transformers",
}
"""Imported when something is asked for that needs them."""
OF_THE_PROGRAM = {"rich", "typer"}
SCRIPT = """
import sys
import torch
before = set(sys.modules)
import {module}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""
HELP = """
import sys
sys.argv = ["coreprune", {asked!r}]
from coreprune.cli import main
try:
    main()
finally:
    print(sorted({{"rich", "torch"}} & set(sys.modules)))
"""
FILES = {path.stem for path in Path(coreprune.__file__).parent.iterdir()}
SAME_NAME = sorted(FILES & set(coreprune.__all__))


def printed_by(script: str) -> str:
    """By a fresh process."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    ).stdout


def added_by(module: str) -> set[str]:
    """The packages that come with a module and not with torch."""
    return set(printed_by(SCRIPT.format(module=module)).split())


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_the_help_does_not_wait_for_torch(asked):
    assert printed_by(HELP.format(asked=asked)).splitlines()[-1] == "[]"


def test_the_help_lists_what_the_commands_say_of_themselves():
    for name, summary in cli.COMMANDS.items():
        command = getattr(importlib.import_module(f"coreprune.commands.{name}"), name)
        assert command.__doc__.partition("\n")[0] == summary


@pytest.mark.parametrize("first", ["cli", "prune", "public"])
def test_a_function_is_found_whatever_was_imported_first(first):
    kinds = f"*(type(getattr(coreprune, name)).__name__ for name in {SAME_NAME})"
    script = f"import coreprune.{first}, coreprune.compare as same; print({kinds}, callable(same))"
    assert set(printed_by(script).split()) == {"function", "True"}


def test_a_file_that_a_function_hides_can_be_imported():
    assert SAME_NAME == ["certify", "compare", "finetune", "prune", "repair"]
    for name in SAME_NAME:
        assert importlib.import_module(f"coreprune.{name}").__name__ == f"coreprune.{name}"


def test_no_file_but_those_of_public_functions_has_something_of_its_own_name():
    for name in sorted(FILES - {"__init__", "__pycache__", "py"}):
        found = getattr(importlib.import_module(f"coreprune.{name}"), name, None)
        assert found is getattr(coreprune, name) if name in SAME_NAME else found is None


def test_names_are_what_they_were():
    assert set(coreprune.__all__) <= set(dir(coreprune))
    assert coreprune.errors.ArgumentError is coreprune.ArgumentError
    with pytest.raises(AttributeError, match="module 'coreprune' has no attribute 'prune_it'"):
        coreprune.prune_it  # noqa: B018
    script = "import coreprune; print(coreprune.errors.ArgumentError.__name__)"
    assert printed_by(script).strip() == "ArgumentError"


def test_importing_the_library_leaves_the_programs_dependencies_alone():
    added = added_by("coreprune.public")
    assert {"coreprune", "safetensors"} <= added
    assert not added & (FOR_A_JOB | OF_THE_PROGRAM)


def test_the_program_starts_without_what_only_some_commands_need():
    added = added_by("coreprune.cli, coreprune.commands.prune")
    assert added >= OF_THE_PROGRAM
    assert not added & FOR_A_JOB
