"""What coreprune adds to torch's own import, and how long its program takes to show its help."""

import os
import subprocess
import sys

_SNIPPET = """
import time
import torch
start = time.perf_counter()
import coreprune
imported = time.perf_counter()
import coreprune.public
print(imported - start, time.perf_counter() - imported)
"""


_HELP = """
import sys
sys.argv = ["coreprune", "--help"]
from coreprune.cli import main
main()
"""


def main() -> tuple[float, float, float]:
    """Print the least of several fresh interpreters.

    Returns:
        The seconds of the import, those of everything public after it, and the processor seconds of
        the help.
    """
    (imported, loaded), shown = seconds(), processor_seconds_of_help()
    print(
        f"import coreprune after torch: {imported:.3f} s; all that is public: {loaded:.3f} s more; "
        f"coreprune --help: {shown:.3f} s"
    )
    return imported, loaded, shown


def seconds(repeats: int = 5) -> tuple[float, float]:
    """The least times over fresh interpreters with torch: of coreprune, then of all in it."""
    runs = (
        subprocess.run([sys.executable, "-c", _SNIPPET], capture_output=True, text=True, check=True)
        for _ in range(repeats)
    )
    imported, loaded = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    return min(imported), min(loaded)


def processor_seconds_of_help(repeats: int = 5) -> float:
    """The least processor time of fresh interpreters that print `coreprune --help`."""
    return min(_help() for _ in range(repeats))


def _help() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", _HELP], capture_output=True, check=True)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system
