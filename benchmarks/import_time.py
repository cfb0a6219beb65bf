"""What coreprune adds to torch's own import, and how long its program takes to show its help."""

import os
import subprocess
import sys

_SNIPPET = """
import time
import torch
start = time.perf_counter()
import coreprune.public
print(time.perf_counter() - start)
"""


_HELP = """
import sys
sys.argv = ["coreprune", "--help"]
from coreprune.cli import main
main()
"""


def main() -> tuple[float, float]:
    """Print the least of several fresh interpreters.

    Returns:
        The seconds of the import, and the processor seconds of the help.
    """
    least, shown = seconds(), processor_seconds_of_help()
    print(f"import coreprune after torch: {least:.3f} s; coreprune --help: {shown:.3f} s")
    return least, shown


def seconds(repeats: int = 5) -> float:
    """The least time over fresh interpreters that have torch imported."""
    runs = (
        subprocess.run([sys.executable, "-c", _SNIPPET], capture_output=True, text=True, check=True)
        for _ in range(repeats)
    )
    return min(float(run.stdout) for run in runs)


def processor_seconds_of_help(repeats: int = 5) -> float:
    """The least processor time of fresh interpreters that print `coreprune --help`."""
    return min(_help() for _ in range(repeats))


def _help() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", _HELP], capture_output=True, check=True)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system
