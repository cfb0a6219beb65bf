"""The processor time of this process and all that it started: on a busy machine clocks mislead."""

import os
from pathlib import Path


def processor_seconds() -> float:
    """Of this process and of those below it that are still alive, as Linux counts it."""
    ticks, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    return sum(
        count for pid, count in ticks.items() if _is_below(pid, os.getpid(), parents)
    ) / os.sysconf("SC_CLK_TCK")


def _is_below(pid: int, top: int, parents: dict[int, int]) -> bool:
    while pid != top:
        if pid not in parents:
            return False
        pid = parents[pid]
    return True
