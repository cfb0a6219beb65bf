"""One neuron for all of its multiples: the same sums, up to what is said, and far better bounds."""

import pytest
import torch
from certified import SPACES, normal, random_space
from torch import Generator

from coreprune.core.activations import gelu, identity, leaky_relu, prelu, relu, tanh
from coreprune.core.certificate import certificate
from coreprune.core.merging import merged
from coreprune.core.neuron_sums import Block, evaluate, neuron_sums
from coreprune.core.query_set import draw, queries

KINKS = {
    "relu": relu(),
    "leaky": leaky_relu(-0.3),
    "prelu": prelu(torch.tensor([0.1, 0.7, 0.1, 0.7, 0.3, 0.1, 0.7, 0.3], dtype=torch.float64)),
}


def family(activation, *, single, generator):
    """Eight neurons that cancel: 2 and 5 are multiples of 0, 3 and 6 of 1, 7 of 4."""
    points, bias = normal(8, 4, generator=generator), normal(8, generator=generator)
    weights = normal(3, 8, generator=generator)
    for j, i, factor in ((2, 0, 3.0), (5, 0, 0.7), (3, 1, 0.1), (6, 1, 1.0), (7, 4, 5.3)):
        points[j], bias[j] = factor * points[i], factor * bias[i]
    if single:
        points, bias = points.float().double(), bias.float().double()
    weights[:, [0, 1, 4]] = torch.stack([
        -3.0 * weights[:, 2] - 0.7 * weights[:, 5],
        -0.1 * weights[:, 3] - weights[:, 6],
        -5.3 * weights[:, 7],
    ], dim=1)  # fmt: skip
    block = Block(points=points, bias=bias, activation=activation, weights=weights)
    return neuron_sums([block], 0.3 * normal(3, generator=generator))


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("name", KINKS)
def test_the_sums_differ_by_no_more_than_is_said(name, kind, single):
    generator = Generator().manual_seed(0)
    sums = family(KINKS[name], single=single, generator=generator)
    space = random_space(kind, d=4, size=2.0, generator=generator)
    fewer, slack = merged(sums, space)
    x = queries(space, draw(space, 500, generator=generator))
    off = (evaluate(sums, x) - evaluate(fewer, x)).abs().amax(0)
    assert (off <= slack + 1e-13).all()
    assert (slack < 1e-4).all()
    read = fewer.blocks[0].weights.any(0)
    assert all(read[kind].sum() <= 1 for kind in ([0, 2, 5], [1, 3, 6], [4, 7]))
    if single:
        assert (off > 1e-9).any()  # else nothing is tested


@pytest.mark.parametrize("name", KINKS)
def test_what_cancels_is_bounded_by_next_to_nothing(name):
    generator = Generator().manual_seed(1)
    sums = family(KINKS[name], single=True, generator=generator)
    sums = neuron_sums(sums.blocks, torch.zeros(3))
    space = random_space("ball", d=4, size=2.0, generator=generator)
    fewer, slack = merged(sums, space)
    assert (certificate(fewer, space, effort=0.0, slack=slack).bound < 1e-4).all()
    assert (certificate(sums, space, effort=0.0).bound > 0.1).all()


@pytest.mark.parametrize("activation", [gelu(), tanh(), identity()], ids=lambda one: one.name)
def test_other_activations_are_left_as_they_are(activation):
    generator = Generator().manual_seed(0)
    sums = family(activation, single=False, generator=generator)
    fewer, slack = merged(sums, random_space("ball", d=4, size=2.0, generator=generator))
    assert fewer.blocks == sums.blocks
    assert not slack.any()


def test_neurons_of_other_slopes_are_no_multiples():
    generator = Generator().manual_seed(0)
    slopes = torch.tensor([0.1, 0.7, 0.2, 0.8, 0.3, 0.4, 0.9, 0.5], dtype=torch.float64)
    sums = family(prelu(slopes), single=False, generator=generator)
    fewer, _ = merged(sums, random_space("ball", d=4, size=2.0, generator=generator))
    assert fewer.blocks == sums.blocks
