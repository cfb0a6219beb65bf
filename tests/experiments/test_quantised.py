import pytest
import torch
from networks import draw

from experiments.lenet import lenet
from experiments.quantised import run
from experiments.quantised.int8 import QUANTISED


@pytest.mark.parametrize("name", QUANTISED)
def test_eight_bits_are_near_the_network_but_not_equal(name):
    model, images = lenet(hidden=(20, 10), seed=0), draw(64, 784)
    exact = model(images)
    error = (QUANTISED[name](model)(images) - exact).detach().norm() / exact.detach().norm()
    assert 1e-4 < error < 0.05


def test_the_growth_of_weights_is_told_of_kept_neurons():
    model = lenet(seed=0)
    small, gains = run._cut(model, (30, 10))
    assert small.fc2.weight.shape == (10, 30)
    assert all(1 < gain < 100 for gain in gains)
    assert run._cut(model, run.WHOLE) == (model, [1.0, 1.0])


def test_the_range_is_the_largest_weight_over_the_root_mean_square():
    assert run._range(torch.tensor([[3.0, -4.0], [0.0, 0.0]])) == pytest.approx(4 / 2.5)
