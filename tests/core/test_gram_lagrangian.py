import math

import pytest
import torch

from coreprune.core.activations import relu
from coreprune.core.gram_lagrangian import convex_joint_bounds
from coreprune.core.majorants import Majorants
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.remainders import forms_of, remainders
from coreprune.core.row_bounds import signed_sums


@pytest.mark.parametrize("curvature", [0.5, 3.0])
def test_opposite_neurons_are_bounded_to_a_few_percent(curvature):
    # relu(x) + relu(−x) = |x| is at most α (x² + x²) and a level, so 2α and the level on the ball.
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    block = Block(points=points, bias=torch.zeros(2), activation=relu(), weights=torch.ones(1, 2))
    sums, space = neuron_sums([block], torch.zeros(1)), ball(1.0, dimension=2)
    neurons = remainders(forms_of(sums, space))
    parts = signed_sums(sums, neurons, space)
    alpha = torch.full((2, 2), curvature, dtype=torch.float64)
    level = torch.full((2,), 2 / (16 * curvature), dtype=torch.float64)
    chosen = Majorants(
        curvature=alpha, tilt=alpha * 0, level=level, multiplier=alpha[:, :1] * math.nan
    )
    gram = neurons.rows @ neurons.rows.T
    found = convex_joint_bounds(parts, neurons, space, gram=gram, chosen=chosen)
    assert found[0] == pytest.approx(2 * curvature + float(level[0]), rel=0.03)
