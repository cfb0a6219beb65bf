"""How much memory cutting a block takes: an upper estimate, for schedulers and for people."""

import os
from pathlib import Path

from coreprune.errors import ArgumentError

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux tells a container's limit, by version 2 of control groups and by version 1."""
_BASE = 2**30
"""The interpreter, torch, its buffers, and batches of rows."""


def block_need(*, neurons: int, width: int, layers: int, centred: bool = False) -> int:
    """The memory of a process that cuts one block, in bytes.

        1 GiB + max( 12 N + 24 n² + 16 d²,  32 N + c d² ),   N = n · d · layers

    First the weights as stored and in float64 with three n × n matrices while neurons are chosen;
    then the copies of the weights that the certificate scales, and its d × d matrices: c is 48,
    and 160 behind a LayerNorm, which has its outputs in twice as many coordinates.

    Args:
        neurons: n.
        width: d, the size of what the block reads and gives.
        layers: How many layers of n × d weights it has: two, or three where it is gated.
        centred: Whether a LayerNorm is before it.

    Returns:
        The bytes.

    Example:
        >>> need = block_need(neurons=5632, width=2048, layers=3)
        >>> round(need / 2**30, 1)
        2.2
    """
    numbers, square = neurons * width * layers, width**2
    chosen = 12 * numbers + 24 * neurons**2 + 16 * square
    certified = 32 * numbers + (160 if centred else 48) * square
    return _BASE + max(chosen, certified)


def check_memory(workers: int, need: int) -> None:
    """Refuse more workers than the machine has room for.

    Args:
        workers: How many work at a time.
        need: Of one, in bytes.

    Raises:
        ArgumentError: With how many there is room for.
    """
    if workers == 1:
        return  # there is no way out, and an estimate is above what is needed
    room = _room()
    if room is not None and workers * need > room:
        raise ArgumentError(
            f"workers must fit the memory of {gib(room)}, but {workers} that need {gib(need)} each "
            f"do not; pass at most workers={max(1, room // need)}"
        )


def gib(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / 2**30:.1f} GiB"


def _room() -> int | None:
    """The machine's memory or the container's, None where the system tells neither."""
    found = [room for room in (_machine(), *map(_limit, _LIMITS)) if room is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _limit(file: Path) -> int | None:
    """What a control group may use, None where it is not limited."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is no such file, or it says "max"
        return None
