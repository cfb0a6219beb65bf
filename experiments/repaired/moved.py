"""Training images, each turned, scaled, slanted and moved a little, in a new order every epoch."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.nn import functional

SIDE = 28
TURN, SCALE, SLANT, MOVE = 0.1, 0.1, 0.1, 0.04
"""The most of each: radians, share of the size, share of the height, share of the side."""


class Moved:
    """A loader of (images, labels) whose images are distorted anew each time.

    Each of turn, scale, slant and the moves along both axes is drawn uniformly up to its most in
    either direction; zeros come in from outside. Order and distortions go on from epoch to epoch,
    fixed by the seed.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, batch_size: int, seed: int) -> None:
        self.images, self.labels = images, labels
        self.batch_size = batch_size
        self.generator = Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.images), generator=self.generator)
        for batch in order.split(self.batch_size):
            yield distorted(self.images[batch], generator=self.generator), self.labels[batch]


def distorted(images: Tensor, *, generator: Generator) -> Tensor:
    """Every image under an affine map of its own near the identity.

    Args:
        images: Shape (n, 784).
        generator: Of the maps.

    Returns:
        The images, read off between pixels by linear interpolation. Shape (n, 784).
    """
    count = len(images)
    most = torch.tensor([TURN, SCALE, SLANT, 2 * MOVE, 2 * MOVE])  # the side is 2 long for torch
    drawn = most[:, None] * (2 * torch.rand(5, count, generator=generator) - 1)
    turn, scale, slant, across, down = drawn
    along, over = (1 + scale) * turn.cos(), turn.sin()
    rows = torch.stack([along, slant - over, across, over, along, down], dim=1).view(count, 2, 3)
    shape = [count, 1, SIDE, SIDE]
    grid = functional.affine_grid(rows, shape, align_corners=False)
    return functional.grid_sample(images.view(shape), grid, align_corners=False).flatten(1)
