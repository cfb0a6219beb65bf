"""Prune one folder in this process and print what it took, as JSON."""

import json
import sys
import time
from pathlib import Path

from coreprune.shells.hf_folder.prune_folder import prune_folder


def main(source: Path, target: Path) -> None:
    """Print the seconds, those of the processor and the peak of the resident memory.

    Args:
        source: The folder.
        target: The folder to write.
    """
    started = time.perf_counter(), time.process_time()
    result = prune_folder(source, target, keep=0.5, progress=_told)
    record = {
        "seconds": time.perf_counter() - started[0],
        "processor_seconds": time.process_time() - started[1],
        "peak_bytes": _peak(),
        "relative_errors": [block.relative_error for block in result.blocks],
        "certificates": [block.certificate for block in result.blocks],
    }
    print(json.dumps(record))


def _peak() -> int:
    """The most memory that this process ever had resident, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024


def _told(what: str, done: int, of: int) -> None:
    print(f"{what}: {done} of {of}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
