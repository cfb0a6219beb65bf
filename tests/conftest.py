"""What holds for all tests."""

import pytest
import torch

# The tensors are tiny: threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("COREPRUNE_CACHE", "")
