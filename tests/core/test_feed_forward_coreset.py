import pytest
import torch
from gated import coreset, cut_to, kinds, random_block, random_inputs
from torch import Generator

from coreprune.core.coreset import METHODS
from coreprune.core.feed_forward import neuron_moments, outputs


@kinds
@pytest.mark.parametrize("method", METHODS)
def test_the_error_told_is_the_error_seen(gated, biased, method):
    block = random_block(gated=gated, biased=biased)
    chosen = coreset(block, method=method)
    inputs, root = random_inputs()
    v = torch.randn(200_000, 6, dtype=torch.float64, generator=Generator().manual_seed(1))
    x = v @ root.T + inputs.mean
    lost = outputs(block, x) - outputs(cut_to(block, chosen), x)
    assert float(lost.square().sum(1).mean()) == pytest.approx(chosen.expected_error, rel=0.05)
    y = outputs(block, x)
    power = y.var(0).sum() if biased else y.square().sum(1).mean()
    assert float(power) == pytest.approx(chosen.output_variance, rel=0.05)


@kinds
def test_optimal_beats_magnitude(gated, biased):
    block = random_block(gated=gated, biased=biased)
    errors = {method: coreset(block, method=method).expected_error for method in METHODS}
    assert errors["optimal"] < 0.5 * errors["magnitude"]


def test_without_a_bias_nothing_is_shifted():
    chosen = coreset(random_block(gated=False, biased=False))
    assert chosen.subset.bias_shift.abs().max() == 0


def test_the_bias_makes_up_for_the_rounding_of_the_weights():
    block = random_block(gated=False, biased=True)
    chosen = coreset(block, dtype=torch.bfloat16)
    assert chosen.subset.weights.dtype == torch.bfloat16
    cut, x = cut_to(block, chosen), random_inputs()
    moments = neuron_moments(block, x[0])
    kept = chosen.subset.indices
    mean = block.weights @ moments.mean + block.offset
    torch.testing.assert_close(cut.weights @ moments.mean[kept] + cut.offset, mean)


def test_keeping_everything_is_the_block():
    block = random_block(gated=True, biased=True)
    for method in METHODS:
        chosen = coreset(block, num_neurons=20, method=method)
        assert chosen.expected_error < 1e-20
        torch.testing.assert_close(chosen.subset.weights, block.weights, rtol=0, atol=0)
        assert chosen.subset.bias_shift.abs().max() == 0
