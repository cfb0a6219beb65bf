"""What a reader needs to trust or repeat a measurement."""

import platform
import time
from datetime import UTC, datetime
from typing import Any

import torch

import coreprune


def provenance(*, seeds: tuple[int, ...], started: float, data: str) -> dict[str, Any]:
    """The seeds, the processor time taken, the versions and the day.

    Processor time of one thread says what a step costs, whatever else the machine does.

    Args:
        seeds: The seeds of the repetitions.
        started: `time.process_time()` at the beginning.
        data: Where the data come from, in words.

    Returns:
        A record for results.json.
    """
    return {
        "seeds": list(seeds),
        "seconds": round(time.process_time() - started, 1),
        "coreprune": coreprune.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "data": data,
        "date": datetime.now(UTC).date().isoformat(),
    }
