import pytest
import torch

from coreprune.core.activations import gelu, leaky_relu, relu, tanh
from coreprune.core.certificate import certificate
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.remainders import forms_of, remainders
from coreprune.core.row_bounds import row_bounds, signed_sums
from coreprune.core.uniform_remainders import uniform_remainders


def sums_of(activation, seed=0, *, n=40, d=8, k=4):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, d, generator=generator) / d**0.5
    bias = torch.randn(n, generator=generator) / 2
    weights = torch.randn(k, n, generator=generator) / n**0.5
    block = Block(points=points, bias=bias, activation=activation, weights=weights)
    return neuron_sums([block], torch.zeros(k))


@pytest.mark.parametrize("activation", [relu(), leaky_relu(0.1), gelu(), tanh()])
def test_no_form_for_all_neurons_bounds_sums_better_than_their_certificate(activation):
    sums, space = sums_of(activation), ball(0.7, dimension=8)
    found = certificate(sums, space, effort=0.0).bound
    forms = forms_of(sums, space)
    smallest, uniform = remainders(forms), uniform_remainders(forms)
    assert uniform
    for neurons in (smallest, *uniform.values()):
        values = row_bounds(signed_sums(sums, neurons, space), neurons, space).values
        assert (found <= values.reshape(2, -1).amax(0) * (1 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(3))
def test_quick_bounds_do_not_fall_as_balls_grow(seed):
    sums, last = sums_of(relu(), seed), torch.zeros(4)
    for step in range(40):
        bound = certificate(sums, ball(0.02 * 1.2**step, dimension=8), effort=0.0).bound
        assert (bound >= last * (1 - 1e-6)).all()
        last = bound


def test_one_refinement_beats_that_of_a_larger_ball():
    sums = sums_of(relu(), n=40)
    small, large = (certificate(sums, ball(radius, dimension=8)).bound for radius in (2.1, 2.65))
    assert (small <= large).all()
