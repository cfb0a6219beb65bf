"""Training images, each moved by up to one pixel, in a new order every epoch."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.nn import functional

SIDE = 28


class Shifted:
    """A loader of (images, labels) whose images are moved anew each time.

    Every image is moved by −1, 0 or 1 pixel along each axis, with equal chances; zeros move in.
    Order and moves go on from epoch to epoch, fixed by the seed.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, batch_size: int, seed: int) -> None:
        self.images, self.labels = images, labels
        self.batch_size = batch_size
        self.generator = Generator().manual_seed(seed)
        padded = torch.arange((SIDE + 2) ** 2).view(SIDE + 2, SIDE + 2)
        moves = [(down, right) for down in range(3) for right in range(3)]
        self.windows = torch.stack(
            [padded[down : down + SIDE, right : right + SIDE].flatten() for down, right in moves]
        )

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.images), generator=self.generator)
        for batch in order.split(self.batch_size):
            yield self._moved(self.images[batch]), self.labels[batch]

    def _moved(self, images: Tensor) -> Tensor:
        padded = functional.pad(images.view(-1, SIDE, SIDE), (1, 1, 1, 1)).flatten(1)
        chosen = torch.randint(len(self.windows), (len(images),), generator=self.generator)
        return padded.gather(1, self.windows[chosen])
