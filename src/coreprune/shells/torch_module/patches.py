"""What a convolution reads: its patches, channel by channel."""

import itertools
import math
from typing import Any

import torch
from torch import Generator, Tensor, nn

from coreprune.shells.torch_module.spatial import described, moves_of, positions

PLACES = 32
"""Patches taken of each example where a convolution reads more."""


def patches(x: Tensor, weight: Tensor, rest: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """Patches of an input at places chosen at random, borders in their true proportion.

    Args:
        x: The input. Shape (N, d, ...).
        weight: The convolution's. Shape (n, d, *kernel).
        rest: The positional arguments of the call behind the bias.
        named: Its keyword arguments.

    Returns:
        Rows of d · taps entries, the taps of a channel side by side: all patches of every example,
        or `PLACES` of them, the same ones for the same shapes. Shape (rows, d · taps).
    """
    kernel = tuple(weight.shape[2:])
    moves = _moves(kernel, rest, named)
    counts = positions(tuple(x.shape[2:]), moves, kernel)
    sides = [side for pair in reversed(moves["padding"]) for side in pair]
    wide = nn.functional.pad(x, sides)
    sizes = tuple(wide.shape[2:])
    steps = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    device = x.device
    corners = _grid(counts, moves["stride"], steps).to(device)
    taps = _grid(kernel, moves["dilation"], steps).to(device)
    flat = wide.flatten(2).mT  # positions first: a patch is then a few whole rows
    chosen = _places(len(x), len(corners)).to(device)
    rows = torch.arange(len(x), device=device)[:, None, None]
    found = flat[rows, corners[chosen][:, :, None] + taps]  # N, places, taps, d
    return found.flatten(0, 1).mT.flatten(1)


def patch_norms(x: Tensor, weight: Tensor, rest: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """The Euclidean norm of every patch. Arguments as in `patches`; shape (N, ...)."""
    kernel = tuple(weight.shape[2:])
    moves = _moves(kernel, rest, named)
    sides = [side for pair in reversed(moves["padding"]) for side in pair]
    squares = nn.functional.pad(x.float().square().sum(1, keepdim=True), sides)
    ones = torch.ones(1, 1, *kernel, device=x.device)
    convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[len(kernel) - 1]
    sums: Tensor = convolve(squares, ones, None, moves["stride"], 0, moves["dilation"])
    return sums[:, 0].clamp_min(0).sqrt()


def _moves(
    kernel: tuple[int, ...], rest: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    stride, padding, dilation, groups = moves_of(rest, named)
    return described(kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)


def _grid(counts: tuple[int, ...], strides: tuple[int, ...], steps: list[int]) -> Tensor:
    """Flat places of a regular grid, row by row."""
    axes = [
        [place * stride * step for place in range(count)]
        for count, stride, step in zip(counts, strides, steps, strict=True)
    ]
    return torch.tensor([sum(place) for place in itertools.product(*axes)])


def _places(examples: int, count: int) -> Tensor:
    """Which patches of each example are taken. Shape (examples, places)."""
    if count <= PLACES:
        return torch.arange(count).expand(examples, -1)
    generator = Generator().manual_seed(count)
    return torch.rand(examples, count, generator=generator).argsort(1)[:, :PLACES]
