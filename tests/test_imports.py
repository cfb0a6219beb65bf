"""What `import coreprune` brings along; `python -m benchmarks` has the seconds."""

import subprocess
import sys

HEAVY = {
    "accelerate",
    "rich",
    "typer",
    "mlxtend",
    "matplotlib",
    "onnx",
    "pooch",
    "scipy",
    "pandas",
    "sklearn",
    "transformers",
}
SCRIPT = """
import sys
import torch
before = set(sys.modules)
import coreprune
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""


def test_importing_the_library_leaves_the_programs_dependencies_alone():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True
    )
    added = set(done.stdout.split())
    assert {"coreprune", "safetensors"} <= added
    assert not added & HEAVY
