import math

import pytest
import torch
from torch import Generator, nn

from coreprune.core.query_set import queries
from coreprune.queries.normalised import BehindNorms, Normalised


def law(*, centred, biased=True, d=8):
    g = Generator().manual_seed(0)
    gain = torch.randn(d, dtype=torch.float64, generator=g)
    bias = torch.randn(d, dtype=torch.float64, generator=g) if biased else None
    return Normalised(gain=gain, bias=bias, centred=centred)


def norm_of(which):
    """The module of torch with the law's gain and bias."""
    d = len(which.gain)
    module = nn.LayerNorm(d, eps=0) if which.centred else nn.RMSNorm(d, eps=0)
    module = module.double()
    with torch.no_grad():
        module.weight.copy_(which.gain)
        if which.centred:
            module.bias.copy_(which.bias)
    return module


centrings = pytest.mark.parametrize("centred", [True, False])


@centrings
def test_queries_are_what_the_norm_makes_of_normal_inputs(centred):
    which = law(centred=centred, biased=centred)
    x = torch.randn(5, 8, dtype=torch.float64, generator=Generator().manual_seed(3))
    expected = norm_of(which)(x)
    found = which.sample(5, generator=Generator().manual_seed(3))
    torch.testing.assert_close(found, expected)


@centrings
def test_moments_are_exact(centred):
    which = law(centred=centred)
    x = which.sample(400_000, generator=Generator().manual_seed(1))
    found = which.moments()
    torch.testing.assert_close(found.mean, x.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(found.covariance, torch.cov(x.T), rtol=0, atol=0.03)


@centrings
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_whatever_goes_in_what_comes_out_is_in_the_space(centred, dtype):
    which = law(centred=centred, biased=centred)
    space = which.space(dtype)
    generator = Generator().manual_seed(2)
    x = torch.randn(1000, 8, dtype=torch.float64, generator=generator)
    x = x * torch.logspace(-3, 3, 1000, dtype=torch.float64)[:, None] + x[:, :1]
    y = norm_of(which)(x).to(dtype).detach().double()
    assert float(distance(y, space).max()) <= 1


def test_rounding_beside_a_large_bias_stays_in_the_space():
    """The sum is rounded by far more than a small gain lets through."""
    gain, bias = torch.full((8,), 1e-3, dtype=torch.float64), 100 + torch.arange(8.0) / 7
    which = Normalised(gain=gain, bias=bias.double(), centred=True)
    y = which.sample(100, generator=Generator()).to(torch.bfloat16).double()
    assert float(distance(y, which.space(torch.bfloat16)).max()) <= 1


def distance(x, space):
    """The least ‖w‖ with x = x₀ + D w."""
    axes = torch.diag(space.axes) if space.axes.ndim == 1 else space.axes
    return (torch.linalg.pinv(axes, rtol=1e-12) @ (x - space.centre).T).norm(dim=0)


@centrings
def test_the_space_reaches_no_further_than_the_norm(centred):
    which = law(centred=centred)
    space = which.space(torch.float64)
    v = torch.randn(1000, space.axes.shape[-1], dtype=torch.float64, generator=Generator())
    v = v / v.norm(dim=1, keepdim=True)
    x = (queries(space, v) - space.centre) / which.gain
    assert float(x.norm(dim=1).max()) <= math.sqrt(8) * (1 + 1e-6)
    if centred:
        assert float(x.sum(1).abs().max()) <= 1e-4


def test_laws_have_words():
    assert "closed form" in BehindNorms().words
    assert "20 a neuron" in BehindNorms(per_neuron=20).words
    assert "norm before the block" in law(centred=True).words
