"""Random choices of a forward pass that repeat, and leave the caller's as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random state is that of a seed inside, and afterwards what it was before.

    Args:
        seed: Such as the number of a step.
        device: Where the network runs; the CPU's state is set in any case.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every device
        for one in devices:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield
