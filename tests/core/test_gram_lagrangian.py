import math

import pytest
import torch

from coreprune.core import gram_lagrangian
from coreprune.core.activations import relu
from coreprune.core.gram_lagrangian import convex_joint_bounds
from coreprune.core.majorants import Majorants
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.remainders import forms_of, remainders
from coreprune.core.row_bounds import signed_sums


def bound(*, curvature, level):
    # relu(x) + relu(−x) = |x| is at most α (x² + x²) and a level, so 2α and the level on the ball.
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    block = Block(points=points, bias=torch.zeros(2), activation=relu(), weights=torch.ones(1, 2))
    sums, space = neuron_sums([block], torch.zeros(1)), ball(1.0, dimension=2)
    neurons = remainders(forms_of(sums, space))
    alpha = torch.full((2, 2), curvature, dtype=torch.float64)
    chosen = Majorants(
        curvature=alpha,
        tilt=alpha * 0,
        level=torch.full((2,), level, dtype=torch.float64),
        multiplier=alpha[:, :1] * math.nan,
    )
    gram = neurons.rows @ neurons.rows.T
    parts = signed_sums(sums, neurons, space)
    return convex_joint_bounds(parts, neurons, space, gram=gram, chosen=chosen)[0]


@pytest.mark.parametrize("curvature", [0.5, 3.0])
def test_opposite_neurons_are_bounded_to_a_few_percent(curvature):
    level = 2 / (16 * curvature)
    found = bound(curvature=curvature, level=level)
    assert found == pytest.approx(2 * curvature + level, rel=0.03)


def test_without_curvature_the_level_is_left():
    assert bound(curvature=0.0, level=2.0) == pytest.approx(2.0)


def test_a_single_price_is_a_looser_bound(monkeypatch):
    several = bound(curvature=0.5, level=0.25)
    monkeypatch.setattr(gram_lagrangian, "_ATTEMPTS", 1)
    assert several <= bound(curvature=0.5, level=0.25) < 2


@pytest.mark.parametrize(("price", "bounded"), [(1.9, False), (2.1, True)])
def test_a_price_below_the_largest_eigenvalue_bounds_nothing(price, bounded):
    given = torch.tensor(price, dtype=torch.float64)
    nothing = torch.zeros(2, dtype=torch.float64)
    value = gram_lagrangian._value(
        -2 * torch.eye(2, dtype=torch.float64),
        nothing,
        nothing[0],
        price=given,
        lost=gram_lagrangian._Lost(unit=0.0, mass=0.0),
    )
    assert bool(value.isfinite()) is bounded
