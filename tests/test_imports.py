"""What `import coreprune` brings along; `python -m benchmarks` has the seconds."""

import subprocess
import sys

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


def added_by(module: str) -> set[str]:
    """The packages that come with a module and not with torch."""
    script = SCRIPT.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


def test_importing_the_library_leaves_the_programs_dependencies_alone():
    added = added_by("coreprune")
    assert {"coreprune", "safetensors"} <= added
    assert not added & (FOR_A_JOB | OF_THE_PROGRAM)


def test_the_program_starts_without_what_only_some_commands_need():
    added = added_by("coreprune.cli")
    assert added >= OF_THE_PROGRAM
    assert not added & FOR_A_JOB
