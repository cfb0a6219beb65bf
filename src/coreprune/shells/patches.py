"""What a convolution reads: its patches, channel by channel."""

import itertools
import math

import torch
from torch import Generator, Tensor, nn

from coreprune.shells.moves import Moves

PLACES, ROWS = 32, 4096
"""Patches taken of each example where a convolution reads more, and of all examples together where
these are few."""


def patches(x: Tensor, moves: Moves) -> Tensor:
    """Patches of an input at places chosen at random, borders in their true proportion.

    Args:
        x: The input. Shape (N, d, ...).
        moves: How the convolution moves over it.

    Returns:
        Rows of d · taps entries, the taps of a channel side by side: all patches of every example,
        or some of them, the same ones for the same shapes. Shape (rows, d · taps).
    """
    counts = moves.places(tuple(x.shape[2:]))
    wide = _padded(x, moves)
    steps = [math.prod(wide.shape[axis + 3 :]) for axis in range(len(counts))]
    corners = _grid(counts, moves.stride, steps).to(x.device)
    taps = _grid(moves.kernel, moves.dilation, steps).to(x.device)
    flat = wide.flatten(2).mT  # positions first: a patch is then a few whole rows
    chosen = _places(len(x), len(corners)).to(x.device)
    rows = torch.arange(len(x), device=x.device)[:, None, None]
    found = flat[rows, corners[chosen][:, :, None] + taps]  # N, places, taps, d
    return found.flatten(0, 1).mT.flatten(1)


def patch_norms(x: Tensor, moves: Moves) -> Tensor:
    """The Euclidean norm of every patch. Arguments as in `patches`; shape (N, ...)."""
    squares = _padded(x.float().square().sum(1, keepdim=True), moves)
    convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)
    sums: Tensor = convolve[len(moves.kernel) - 1](
        squares,
        torch.ones(1, 1, *moves.kernel, device=x.device),
        stride=moves.stride,
        dilation=moves.dilation,
    )
    return sums[:, 0].clamp_min(0).sqrt()


def largest_window_norm(x: Tensor, extents: tuple[int, ...]) -> Tensor:
    """The largest Euclidean norm of any window of each example, at every place.

    Windows that reach beyond the borders, where there are zeros, hold no more than one that does
    not, and one that is larger than the map holds all of it.

    Args:
        x: Examples. Shape (N, d, ...).
        extents: Of the window, axis by axis behind the channels.

    Returns:
        Shape (N,).
    """
    sums = x.float().square().sum(1)
    for axis, extent in enumerate(extents, start=1):
        sums = sums.unfold(axis, min(extent, sums.shape[axis]), 1).sum(-1)
    return sums.flatten(1).amax(1).sqrt()


def _padded(x: Tensor, moves: Moves) -> Tensor:
    return nn.functional.pad(x, [side for pair in reversed(moves.padding) for side in pair])


def _grid(counts: tuple[int, ...], strides: tuple[int, ...], steps: list[int]) -> Tensor:
    """Flat places of a regular grid, row by row."""
    axes = [
        [place * stride * step for place in range(count)]
        for count, stride, step in zip(counts, strides, steps, strict=True)
    ]
    return torch.tensor([sum(place) for place in itertools.product(*axes)])


def _places(examples: int, count: int) -> Tensor:
    """Which patches of each example are taken. Shape (examples, places)."""
    places = max(PLACES, ROWS // max(1, examples))
    if count <= places:
        return torch.arange(count).expand(examples, -1)
    generator = Generator().manual_seed(count)
    return torch.rand(examples, count, generator=generator).argsort(1)[:, :places]
