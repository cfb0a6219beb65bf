"""What holds while an experiment runs, and not after it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's threads inside; those before come back.

    Args:
        count: How many.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def query_cache(folder: Path | None) -> Iterator[None]:
    """Queries are kept here and nowhere else: those of other runs would take no seconds.

    Args:
        folder: What `COREPRUNE_CACHE` names meanwhile; None keeps none.

    Yields:
        Nothing.
    """
    name = "COREPRUNE_CACHE"
    before = os.environ.get(name)
    os.environ[name] = "" if folder is None else str(folder)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
