import pytest
import torch
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.chain import Link
from coreprune.core.chain_attack import hidden_attack, output_attack
from coreprune.core.elementwise import identity
from coreprune.core.query_set import ball


def layer(points, activation):
    points = torch.tensor(points)
    return Link(points=points, bias=torch.zeros(len(points)), activation=activation)


SPACE = ball(2.0, dimension=2)


def test_the_query_that_only_a_lost_neuron_answers_is_found():
    original = [layer([[1.0, 0.0], [0.0, 1.0]], relu()), layer([[1.0, 1.0]], identity())]
    other = [layer([[1.0, 0.0]], relu()), layer([[1.0]], identity())]
    found = output_attack(original, other, SPACE, generator=Generator())
    assert found.values.item() == pytest.approx(2.0, rel=1e-4)
    torch.testing.assert_close(
        found.queries[0], torch.tensor([0.0, 2.0]).double(), atol=0.05, rtol=0
    )


def test_of_many_outputs_each_is_attacked_if_with_fewer_restarts():
    k = 150
    original = [layer([[1.0, 0.0]] * k, identity())]
    other = [layer([[1.0 - row / k, 0.0] for row in range(k)], identity())]
    found = output_attack(original, other, SPACE, generator=Generator())
    expected = 2 * torch.arange(k, dtype=torch.float64) / k
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=1e-6)


def test_neurons_are_compared_with_those_that_stand_for_them():
    original = [layer([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]], relu())]
    other = [layer([[0.0, 0.5], [1.0, 0.0]], relu())]
    rows = torch.tensor([0, 1]), torch.tensor([1, 0])
    change = hidden_attack(original, other, SPACE, rows=rows, generator=Generator())
    assert change == pytest.approx(1.0, rel=1e-4)


def test_of_many_neurons_those_that_move_most_on_probes_are_climbed():
    # In nine dimensions no probe comes near the query that moves the last neuron most.
    n, d = 40, 9
    one = [1.0] * d
    original = [layer([one] * n, identity())]
    other = [layer([[1.0 - row / n, *one[1:]] for row in range(n)], identity())]
    every = torch.arange(n)
    space = ball(2.0, dimension=d)
    change = hidden_attack(original, other, space, rows=(every, every), generator=Generator())
    assert change == pytest.approx(2 * (n - 1) / n, rel=1e-3)
