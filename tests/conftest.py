"""What holds for all tests."""

import gc

import pytest
import torch

# The tensors are tiny: threads would only wait for each other.
torch.set_num_threads(1)
# Exported graphs are many small objects: most of what a collection reads is torch itself.
gc.freeze()
gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    """Nothing is read from, or left in, the user's cache; no terminal says how wide it is."""
    monkeypatch.setenv("COREPRUNE_CACHE", "")
    monkeypatch.delenv("COLUMNS", raising=False)
