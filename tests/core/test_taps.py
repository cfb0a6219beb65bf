"""Which columns belong to a neuron."""

import pytest
import torch

from coreprune.core.taps import columns, diagonal_blocks


@pytest.mark.parametrize("taps", [1, 2, 9])
def test_columns_stand_neuron_by_neuron_in_the_order_given(taps):
    owners = torch.arange(5).repeat_interleave(taps)
    indices = torch.tensor([3, 0, 4])
    found = columns(indices, taps)
    assert torch.equal(owners[found], indices.repeat_interleave(taps))
    assert torch.equal(found % taps, torch.arange(taps).repeat(3))


def test_no_neuron_has_no_columns():
    assert columns(torch.arange(0), 4).tolist() == []


@pytest.mark.parametrize("taps", [1, 3])
def test_diagonal_blocks_are_those_of_a_neuron_with_itself(taps):
    matrix = torch.arange((4 * taps) ** 2).view(4 * taps, 4 * taps)
    found = diagonal_blocks(matrix, taps)
    assert found.shape == (4, taps, taps)
    for j, block in enumerate(found):
        own = columns(torch.tensor([j]), taps)
        assert torch.equal(block, matrix[own][:, own])
    found.zero_()
    assert matrix[-1, -1] != 0
