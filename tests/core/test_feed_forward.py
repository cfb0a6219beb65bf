import pytest
import torch
from gated import kinds, random_block, random_inputs
from torch import Generator

from coreprune.core.feed_forward import neuron_moments, neurons, outputs


def test_a_gate_multiplies():
    block = random_block(gated=True, biased=True)
    x = torch.randn(5, 6, dtype=torch.float64, generator=Generator().manual_seed(3))
    a, u = x @ block.points.T + block.bias, x @ block.up.T + block.up_bias
    torch.testing.assert_close(neurons(block, x), a * torch.sigmoid(a) * u)


@kinds
def test_outputs_are_what_the_reader_makes_of_neurons(gated, biased):
    block = random_block(gated=gated, biased=biased)
    x = torch.randn(5, 6, dtype=torch.float64, generator=Generator().manual_seed(3))
    expected = neurons(block, x) @ block.weights.T + (block.offset if biased else 0)
    torch.testing.assert_close(outputs(block, x), expected)


@pytest.mark.parametrize("gated", [True, False])
def test_moments_are_those_of_the_neurons(gated):
    block, (inputs, root) = random_block(gated=gated, biased=True), random_inputs()
    v = torch.randn(400_000, 6, dtype=torch.float64, generator=Generator().manual_seed(1))
    h = neurons(block, v @ root.T + inputs.mean)
    found = neuron_moments(block, inputs)
    torch.testing.assert_close(found.mean, h.mean(0), rtol=0, atol=0.01)
    scale = h.std(0)
    found = (found.covariance - torch.cov(h.T)) / scale / scale[:, None]
    assert found.abs().max() < 0.03
