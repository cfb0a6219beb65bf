import math

import pytest
import torch
from torch import Generator

from coreprune.core.activations import gelu, relu, step, tanh
from experiments import worst_query
from experiments.worst_query import Neurons, Search, ball_queries, worst_queries

SEARCH = Search(queries=50, restarts=6, steps=60)


def random_sums(activation, *, dimension, outputs=1):
    generator = Generator().manual_seed(dimension)
    neurons = Neurons(
        points=torch.randn(12, dimension, generator=generator, dtype=torch.float64),
        bias=torch.randn(12, generator=generator, dtype=torch.float64),
        activation=activation,
        query_radius=2.0,
    )
    return neurons, torch.randn(4, outputs, 12, generator=generator, dtype=torch.float64)


def magnitude(neurons, sums, queries):
    """max_i |Σ_j γ_cij h_j(x)|. Shape (C, Q)."""
    h = neurons.activation(queries @ neurons.points.T + neurons.bias)
    return torch.einsum("ckn,qn->ckq", sums, h).abs().amax(1)


@pytest.mark.parametrize("activation", [relu(), gelu(), tanh()], ids=lambda a: a.name)
@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_ascent_finds_the_maximum_of_a_fine_grid(activation, dimension, outputs):
    neurons, sums = random_sums(activation, dimension=dimension, outputs=outputs)
    axis = torch.linspace(-2, 2, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * dimension).reshape(-1, dimension)
    grid = grid[torch.linalg.vector_norm(grid, dim=1) <= 2]
    found = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    assert (found.peak >= 0.999 * magnitude(neurons, sums, grid).amax(1)).all()


def test_what_is_found_is_attained_inside_the_ball():
    neurons, sums = random_sums(relu(), dimension=5, outputs=3)
    found = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    attained = magnitude(neurons, sums, found.query).diagonal()
    torch.testing.assert_close(found.peak, attained)
    assert (torch.linalg.vector_norm(found.query, dim=1) <= 2.0 + 1e-12).all()
    assert (found.peak >= found.random_peak - 1e-5).all()
    assert (found.random_peak >= found.random_mean).all()


def test_a_planted_cap_that_random_queries_miss_is_climbed():
    # relu(x_1 − 1.4) − relu(x_1 − 2) / 2 + relu(−x_2) / 10: a narrow cap around the first axis.
    points = torch.zeros(3, 8, dtype=torch.float64)
    points[0, 0] = points[1, 0] = 1.0
    points[2, 1] = -1.0
    bias = torch.tensor([-1.4, -2.0, 0.0], dtype=torch.float64)
    neurons = Neurons(points=points, bias=bias, activation=relu(), query_radius=2.0)
    sums = torch.tensor([[[1.0, -0.5, 0.1]]], dtype=torch.float64)
    found = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    # On the circle 2 (cos a, −sin a): 2 cos a − 1.4 + 0.2 sin a, greatest at tan a = 0.1.
    assert found.peak.item() == pytest.approx(2 * math.hypot(1, 0.1) - 1.4, rel=1e-4)
    assert found.random_peak.item() < 0.8 * found.peak.item()


def test_a_step_function_leaves_the_random_queries_as_the_answer():
    neurons, sums = random_sums(step(), dimension=2)
    found = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    assert (found.peak >= found.random_peak - 1e-5).all()


def test_splitting_the_work_changes_nothing(monkeypatch):
    neurons, sums = random_sums(relu(), dimension=3, outputs=2)
    whole = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    monkeypatch.setattr(worst_query, "_AT_ONCE", 1)
    split = worst_queries(neurons, sums, search=SEARCH, generator=Generator().manual_seed(0))
    torch.testing.assert_close(split.peak, whole.peak, rtol=1e-4, atol=0)


def test_ball_queries_fill_the_ball_uniformly():
    queries = ball_queries(4000, 3, radius=2.0, generator=Generator().manual_seed(0))
    norms = torch.linalg.vector_norm(queries, dim=1)
    assert norms.max() <= 2.0 + 1e-6
    # P(‖x‖ ≤ 2/2^⅓) = ½; 4,000 coins stray by more than 5 deviations once in two million runs.
    inside = (norms <= 2 / 2 ** (1 / 3)).double().mean().item()
    assert abs(inside - 0.5) < 5 * 0.5 / math.sqrt(4000)
