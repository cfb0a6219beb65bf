import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import relu, sigmoid
from coreprune.core.attack import attack
from coreprune.core.coreset import METHODS, layer_coreset
from coreprune.core.layer_certificate import layer_certificate
from coreprune.core.neuron_sums import coreset_difference
from coreprune.core.query_set import ball
from coreprune.core.subset import WeightedSubset, reweighted


def random_layer(seed=0):
    generator = Generator().manual_seed(seed)
    layer = [normal(*shape, generator=generator) for shape in ((20, 5), (3, 20), (20,))]
    return (*layer, generator)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", [relu(), sigmoid()], ids=lambda one: one.name)
def test_every_method_s_coreset_is_covered(method, activation):
    points, weights, bias, generator = random_layer()
    subset = layer_coreset(
        points, weights, num_neurons=12, activation=activation, query_radius=2.0, bias=bias,
        method=method, generator=generator,
    )  # fmt: skip
    space = ball(2.0, dimension=5)
    found = layer_certificate(
        points, weights, subset, activation=activation, bias=bias, space=space
    )
    sums = coreset_difference(points, weights, subset, activation=activation, bias=bias)
    reached = attack(sums, space, generator=generator).values
    assert (found.certificate.bound >= reached).all()
    assert (found.slack < 1e-10).all()


def test_keeping_everything_leaves_rounding_alone():
    points, weights, bias, _ = random_layer()
    whole = reweighted(weights, torch.arange(20))
    found = layer_certificate(
        points, weights, whole, activation=relu(), bias=bias, space=ball(2.0, dimension=5)
    )
    assert (found.certificate.bound <= 2 * found.slack + 1e-10).all()
    assert not found.vacuous.any()


def test_a_bound_beyond_the_output_s_own_span_is_flagged():
    points, weights, bias, _ = random_layer()
    absurd = WeightedSubset(
        indices=torch.tensor([0]),
        weights=torch.full((3, 1), 50.0, dtype=torch.float64),
        bias_shift=torch.zeros(3, dtype=torch.float64),
    )
    space = ball(2.0, dimension=5)
    found = layer_certificate(
        points, weights, absurd, activation=relu(), bias=bias, space=space, effort=0.0
    )
    assert found.vacuous.all()


def test_the_next_bias_rounds_too():
    points, weights, bias, _ = random_layer()
    points, weights, bias = points.float(), weights.float(), bias.float()
    whole = reweighted(weights, torch.arange(20))
    common = {"activation": relu(), "bias": bias, "space": ball(2.0, dimension=5), "effort": 0.0}
    plain = layer_certificate(points, weights, whole, **common)
    moved = layer_certificate(points, weights, whole, next_bias=torch.full((3,), 1e4), **common)
    assert (moved.slack > 10 * plain.slack).all()
