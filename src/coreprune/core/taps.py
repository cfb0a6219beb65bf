"""Neurons that own several columns each: the taps of a channel."""

import torch
from torch import Tensor


def columns(indices: Tensor, taps: int) -> Tensor:
    """The columns of some neurons, neuron by neuron: tap t of neuron j is column j T + t.

    Args:
        indices: The neurons. Shape (m,).
        taps: T, how many columns each neuron owns.

    Returns:
        Their columns, in the order of the neurons. Shape (m T,).

    Example:
        >>> columns(torch.tensor([0, 2]), 3)
        tensor([0, 1, 2, 6, 7, 8])
    """
    if taps == 1:
        return indices
    return (indices[:, None] * taps + torch.arange(taps, device=indices.device)).flatten()


def diagonal_blocks(matrix: Tensor, taps: int) -> Tensor:
    """What a square matrix says of every neuron with itself.

    Args:
        matrix: Over columns. Shape (n T, n T).
        taps: T.

    Returns:
        A copy of the blocks on the diagonal. Shape (n, T, T).
    """
    n = len(matrix) // taps
    blocks = matrix.view(n, taps, n, taps).diagonal(dim1=0, dim2=2)
    return blocks.permute(2, 0, 1).contiguous()
