import pytest
import torch
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.chain import Link
from coreprune.core.chain_range import chain_range, preactivations
from coreprune.core.elementwise import identity
from coreprune.core.query_set import ball, draw, queries


def test_one_layer_alone_ranges_over_its_bias_and_its_length():
    points, bias = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([1.0, -2.0])
    link = Link(points=points, bias=bias, activation=identity())
    low, high = chain_range([link], ball(2.0, dimension=2))
    torch.testing.assert_close(low, torch.tensor([-9.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(high, torch.tensor([11.0, -2.0], dtype=torch.float64))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_range_holds_every_output_at_any_depth(depth):
    generator = Generator().manual_seed(depth)
    links = [
        Link(
            points=torch.randn(4, 4, generator=generator),
            bias=torch.randn(4, generator=generator),
            activation=relu(),
        )
        for _ in range(depth)
    ]
    space = ball(1.0, dimension=4)
    low, high = chain_range(links, space, effort=0.0)
    z = preactivations(links, queries(space, draw(space, 1000, generator=generator)))[-1]
    assert (z >= low).all()
    assert (z <= high).all()
