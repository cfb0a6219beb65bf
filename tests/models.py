"""Small layers for tests."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A hidden layer: points (n, d), outgoing weights (k, n) without zeros, bias (n,)."""

    points: Tensor
    weights: Tensor
    bias: Tensor


def random_layer(
    n: int = 6, *, d: int = 3, k: int = 2, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Layer:
    """A layer of standard normal entries, its outgoing weights kept away from zero."""
    generator = Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    weights = draw(k, n)
    return Layer(
        points=draw(n, d).to(dtype),
        weights=(weights + weights.sign() / 4).to(dtype),
        bias=draw(n).to(dtype),
    )
