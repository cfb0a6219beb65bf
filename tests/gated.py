"""Random gated neurons, feed-forward blocks and inputs."""

import pytest
import torch
from torch import Generator

from coreprune.core.activations import gelu, silu
from coreprune.core.feed_forward import FeedForward, neuron_moments
from coreprune.core.feed_forward_coreset import block_coreset
from coreprune.core.gated_moments import Gate
from coreprune.core.moments import Moments
from coreprune.core.query_set import ball


def random_gate(activation, *, n=10, d=6, seed=0, size=0.6):
    g = Generator().manual_seed(seed)

    def draw(*shape):
        return size * torch.randn(*shape, dtype=torch.float64, generator=g)

    return Gate(
        points=draw(n, d), bias=draw(n), up=draw(n, d), up_bias=draw(n), activation=activation
    )


def random_inputs(d=6, seed=1):
    g = Generator().manual_seed(seed)
    root = torch.randn(d, d, dtype=torch.float64, generator=g) / d**0.5
    mean = 0.3 * torch.randn(d, dtype=torch.float64, generator=g)
    return Moments(mean=mean, covariance=root @ root.T), root


def gated_neurons(gate, x):
    return gate.activation(x @ gate.points.T + gate.bias) * (x @ gate.up.T + gate.up_bias)


def random_block(*, gated, biased, n=20):
    gate = random_gate(silu() if gated else gelu(), n=n)
    generator = Generator().manual_seed(7)
    weights = torch.randn(4, n, dtype=torch.float64, generator=generator)
    return FeedForward(
        points=gate.points,
        bias=gate.bias,
        activation=gate.activation,
        weights=weights,
        offset=weights[:, 0].clone() if biased else None,
        up=gate.up if gated else None,
        up_bias=gate.up_bias if gated else None,
    )


def cut_to(block, chosen):
    kept, subset = chosen.subset.indices, chosen.subset
    gated = block.up is not None
    return FeedForward(
        points=block.points[kept],
        bias=block.bias[kept],
        activation=block.activation,
        weights=subset.weights.double(),
        offset=None if block.offset is None else block.offset + subset.bias_shift,
        up=block.up[kept] if gated else None,
        up_bias=block.up_bias[kept] if gated else None,
    )


def coreset(block, *, num_neurons=8, method="optimal", dtype=torch.float64):
    return block_coreset(
        block,
        num_neurons=num_neurons,
        method=method,
        moments=neuron_moments(block, random_inputs()[0]),
        space=ball(2.0, dimension=6),
        dtype=dtype,
        generator=Generator().manual_seed(0),
    )


kinds = pytest.mark.parametrize(
    ("gated", "biased"), [(False, True), (False, False), (True, True), (True, False)]
)
