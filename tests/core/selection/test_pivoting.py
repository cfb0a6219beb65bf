"""Blocks are a matter of speed: every size of them gives the same path, in the same memory."""

import pytest
import torch
from ridged import problem

from coreprune.core.selection import pivoting
from coreprune.core.selection.backward import backward
from coreprune.core.selection.forward import forward


@pytest.mark.parametrize("select", [backward, forward])
@pytest.mark.parametrize("block", [7, 64, 1000])
def test_blocked_is_unblocked(monkeypatch, select, block):
    w, covariance = problem(150, k=20)
    monkeypatch.setattr(pivoting, "_BLOCK", 1)
    one_by_one = select(w, covariance, ridge=1e-3)
    monkeypatch.setattr(pivoting, "_BLOCK", block)
    path = select(w, covariance, ridge=1e-3)
    assert torch.equal(path.order, one_by_one.order)
    torch.testing.assert_close(path.errors, one_by_one.errors, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 40, 10_000])
def test_what_is_left_moves_up_in_the_same_memory(monkeypatch, chunk):
    monkeypatch.setattr(pivoting, "_CHUNK", chunk)
    matrix = torch.arange(13.0 * 13).view(13, 13)
    before, left = matrix.clone(), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1]).bool()
    small = pivoting.without(matrix, left.nonzero().squeeze(1))
    assert torch.equal(small, before[left][:, left])
    assert small.data_ptr() == matrix.data_ptr()
