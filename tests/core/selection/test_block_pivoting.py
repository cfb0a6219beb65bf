"""How many steps wait for one another is a matter of speed."""

import pytest
import torch
from ridged import block_view

from coreprune.core.selection import block_pivoting
from coreprune.core.selection.block_paths import backward_blocks, forward_blocks


@pytest.mark.parametrize("select", [backward_blocks, forward_blocks])
@pytest.mark.parametrize("waiting", [9, 1000])
def test_steps_that_wait_are_steps_at_once(monkeypatch, select, waiting):
    views = [block_view(30, 3, k=20), block_view(30, 2, k=70, seed=1)]
    monkeypatch.setattr(block_pivoting, "_WAITING", 1)
    at_once = select(views)
    monkeypatch.setattr(block_pivoting, "_WAITING", waiting)
    path = select(views)
    assert torch.equal(path.order, at_once.order)
    torch.testing.assert_close(path.errors, at_once.errors, rtol=1e-9, atol=1e-9)
