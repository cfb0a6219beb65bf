"""What `import coreprune` adds to torch's own import."""

import subprocess
import sys

_SNIPPET = """
import time
import torch
start = time.perf_counter()
import coreprune
print(time.perf_counter() - start)
"""


def main() -> float:
    """Print the least of several fresh interpreters.

    Returns:
        It.
    """
    least = seconds()
    print(f"import coreprune after torch: {least:.3f} s")
    return least


def seconds(repeats: int = 5) -> float:
    """The least time over fresh interpreters that have torch imported."""
    runs = (
        subprocess.run([sys.executable, "-c", _SNIPPET], capture_output=True, text=True, check=True)
        for _ in range(repeats)
    )
    return min(float(run.stdout) for run in runs)
