import itertools
import math

import pytest
import torch
from torch import Generator

from experiments.corenet.sampler import (
    corenet,
    edge_sensitivities,
    expected_nonzeros,
    num_nonzeros,
    reweighted_edges,
    sampled_edges,
)
from experiments.lenet import lenet

WEIGHTS = torch.tensor([[1.0, 2.0, -1.0, 0.0], [0.5, -0.5, -2.0, 3.0]])
ACTIVATIONS = torch.tensor([[1.0, 1.0, 1.0, 0.0], [4.0, 1.0, 0.0, 1.0]])


def test_sensitivities_are_the_largest_share_over_the_points_side_by_side():
    expected = torch.tensor([[4 / 6, 2 / 3, 1.0, 0.0], [1.0, 1.0, 0.8, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(edge_sensitivities(WEIGHTS, ACTIVATIONS), expected)


def test_sensitivities_do_not_depend_on_the_scale_of_weights_or_activations():
    s = edge_sensitivities(WEIGHTS, ACTIVATIONS)
    torch.testing.assert_close(edge_sensitivities(3 * WEIGHTS, 5 * ACTIVATIONS), s)


def test_the_expectation_over_every_possible_draw_is_the_weight():
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    q = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    expectation = torch.zeros_like(weights)
    for draws in itertools.product(range(3), repeat=3):
        counts = torch.bincount(torch.tensor(draws), minlength=3)
        expectation += math.prod(q[j] for j in draws) * reweighted_edges(weights, counts, q)
    torch.testing.assert_close(expectation, weights)


def test_sampled_edges_are_unbiased():
    """False alarms: eight means beyond five standard errors, below one in 100,000."""
    s = edge_sensitivities(WEIGHTS, ACTIVATIONS)
    generator = Generator().manual_seed(0)
    samples = torch.stack(
        [
            sampled_edges(WEIGHTS, s, draws_per_sensitivity=1.0, generator=generator)
            for _ in range(3000)
        ]
    )
    standard_error = samples.std(0) / math.sqrt(len(samples))
    assert ((samples.mean(0) - WEIGHTS).abs() <= 5 * standard_error + 1e-6).all()


def test_edges_that_no_point_uses_are_never_drawn():
    unused = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    sparse = sampled_edges(
        unused[0],
        edge_sensitivities(*unused),
        draws_per_sensitivity=100.0,
        generator=Generator().manual_seed(0),
    )
    assert sparse[0, 1] == 0


def test_expected_nonzeros_are_those_of_many_draws():
    s = edge_sensitivities(WEIGHTS, ACTIVATIONS)
    generator = Generator().manual_seed(1)
    counts = [
        int(
            sampled_edges(
                WEIGHTS, s, draws_per_sensitivity=0.8, generator=generator
            ).count_nonzero()
        )
        for _ in range(2000)
    ]
    expected = expected_nonzeros(s, WEIGHTS, 0.8)
    assert sum(counts) / len(counts) == pytest.approx(expected, abs=0.1)


def test_more_edges_than_the_points_use_are_refused():
    points = torch.zeros(1, 784)
    points[0, 0] = 1.0
    with pytest.raises(ValueError, match="edges that the points use"):
        corenet(lenet(hidden=(4, 3), seed=0), points, num_nonzeros=1000, generator=Generator())


def test_a_network_gets_the_wanted_number_of_nonzeros_and_keeps_its_biases():
    model = lenet(hidden=(40, 20), seed=0)
    points = torch.rand(8, 784, generator=Generator().manual_seed(0))
    sparse, again = (
        corenet(model, points, num_nonzeros=6000, generator=Generator().manual_seed(3))
        for _ in range(2)
    )
    assert num_nonzeros(sparse) == pytest.approx(6000, rel=0.03)
    assert torch.equal(sparse.fc1.bias, model.fc1.bias)
    assert torch.equal(sparse.fc1.weight, again.fc1.weight)
    assert num_nonzeros(model) == sum(parameter.numel() for parameter in model.parameters())
