import torch
from certified import grid
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.neuron_sums import Block, evaluate, neuron_sums
from coreprune.core.query_set import ball, queries
from experiments.tightness.crown import crown


def test_the_relaxation_holds_on_a_grid_and_is_exact_for_one_neuron():
    generator = Generator().manual_seed(0)
    draw = [
        torch.randn(*s, dtype=torch.float64, generator=generator) for s in ((5, 2), (5,), (3, 5))
    ]
    block = Block(points=draw[0], bias=draw[1], activation=relu(), weights=draw[2])
    sums = neuron_sums([block], torch.zeros(3))
    space = ball(2.0, dimension=2)
    peak = evaluate(sums, queries(space, grid(space, 201))).abs().amax(0)
    assert (crown(sums, radius=2.0) >= peak - 1e-12).all()
    one = Block(
        points=torch.ones(1, 1), bias=torch.zeros(1), activation=relu(), weights=torch.ones(1, 1)
    )
    bound = crown(neuron_sums([one], torch.zeros(1)), radius=3.0)
    torch.testing.assert_close(bound, torch.tensor([3.0]).double(), rtol=1e-6, atol=0)
