"""Rows and labels in a new order every epoch."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor


class Shuffled:
    """A loader of (rows, labels) whose order goes on from epoch to epoch, fixed by the seed."""

    def __init__(self, rows: Tensor, labels: Tensor, *, batch_size: int, seed: int) -> None:
        self.rows, self.labels, self.batch_size = rows, labels, batch_size
        self.generator = Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.rows), generator=self.generator)
        for batch in order.split(self.batch_size):
            yield self.rows[batch], self.labels[batch]
