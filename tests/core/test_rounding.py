import math

import pytest
import torch
from certified import ACTIVATIONS, normal, random_space, random_sums
from torch import Generator

from coreprune.core.activations import relu, step
from coreprune.core.certificate import certificate
from coreprune.core.coreset import layer_coreset
from coreprune.core.elementwise import identity
from coreprune.core.layer_certificate import layer_certificate
from coreprune.core.neuron_sums import Block, evaluate, neuron_sums
from coreprune.core.query_set import ball, draw, queries
from coreprune.core.rounding import ACTIVATION_UNITS, evaluation_error, gamma, interval
from coreprune.core.subset import reweighted

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
NAMES = [f"{number} {one.name}" for number, one in enumerate(ACTIVATIONS)]


def test_gamma_is_above_repeated_rounding():
    assert gamma(3) > 3 * 2.0**-53
    assert gamma(10, 2.0**-8) == pytest.approx(10 / 246)
    assert gamma(300, 2.0**-8) == math.inf


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_activations_are_evaluated_within_the_stated_units(activation, dtype):
    z = torch.linspace(-30, 30, 40_001).to(dtype)
    if math.isinf(activation.lipschitz) and activation.name != "step":
        z = z[(z * 2 - 1).abs() > 0.1]  # a visible jump may fall on either side
    exact = activation(z.double())
    error = (activation(z).double() - exact).abs()
    unit = torch.finfo(dtype).eps / 2
    assert (
        error
        <= ACTIVATION_UNITS * unit * (z.double().abs() + exact.abs()) + torch.finfo(dtype).tiny
    ).all()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_a_network_evaluates_is_within_its_error(activation, dtype):
    generator = Generator().manual_seed(0)
    wide = random_sums(activation, d=30, n=20, k=4, generator=generator)
    stored = neuron_sums(
        [
            Block(
                points=b.points.to(dtype),
                bias=b.bias.to(dtype),
                activation=b.activation,
                weights=b.weights.to(dtype),
            )
            for b in wide.blocks
        ],
        wide.offsets.to(dtype),
    )
    space = ball(5.0, dimension=30)
    x = (queries(space, draw(space, 500, generator=generator)) * 0.98).to(dtype)
    error = (evaluate(stored, x).double() - evaluate(stored, x.double())).abs().amax(0)
    bound = evaluation_error(stored, space, dtype=dtype)
    assert (error <= bound).all()
    if math.isfinite(activation.lipschitz) and dtype == torch.float32:
        assert (bound < 2e-2).all()


def test_a_tenth_of_the_error_bound_is_beaten():
    # A long sum of equal signs, in bfloat16 without wider accumulation: the bound is not idle.
    n = 100
    points = torch.full((n, 1), 1.0)
    block = Block(points=points, bias=torch.zeros(n), activation=relu(), weights=torch.ones(1, n))
    sums = neuron_sums([block], torch.zeros(1))
    bound = evaluation_error(sums, ball(1.0, dimension=1), dtype=torch.bfloat16).item()
    total = torch.zeros((), dtype=torch.bfloat16)
    one = torch.tensor(1.0 - 2.0**-8, dtype=torch.bfloat16)
    for _ in range(n):
        total = total + one
    error = abs(float(total) - n * float(one))
    assert bound / 1000 < error <= bound


def test_the_error_worked_by_hand():
    block = Block(
        points=torch.tensor([[2.0]]),
        bias=torch.ones(1),
        activation=identity(),
        weights=torch.tensor([[-3.0]]),
    )
    sums = neuron_sums([block], torch.tensor([4.0]))
    u = 2.0**-8
    delta = 2 * u / (1 - 2 * u) * (2 * 1 + 1)
    height = 3 + delta
    expected = 3 * u / (1 - 3 * u) * (3 * (height + delta) + 4 + 5) + 3 * delta
    found = evaluation_error(
        sums, ball(1.0, dimension=1), dtype=torch.bfloat16, bias=torch.tensor([-5.0])
    )
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_another_order_of_summation_is_paid_for():
    generator = Generator().manual_seed(0)
    points, weights = normal(64, 8, generator=generator), normal(3, 64, generator=generator)
    points, weights, bias = points.float(), weights.float(), torch.zeros(64)
    whole = reweighted(weights, torch.arange(64))
    space = ball(3.0, dimension=8)
    found = layer_certificate(
        points, weights, whole, activation=relu(), bias=bias, space=space, effort=0.0
    )
    x = (queries(space, draw(space, 500, generator=generator)) * 0.99).float()
    h = relu()(x @ points.T)
    halves = h[:, 1::2] @ weights[:, 1::2].T + h[:, ::2] @ weights[:, ::2].T
    difference = (h @ weights.T - halves).abs().amax(0)
    assert (difference > 0).all()
    assert (difference <= found.certificate.bound).all()


@pytest.mark.parametrize("method", ["optimal", "importance", "magnitude"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_both_networks_in_short_precision_stay_within_the_widened_certificate(method, dtype):
    generator = Generator().manual_seed(1)
    points, weights = normal(24, 8, generator=generator), normal(3, 24, generator=generator)
    bias = normal(24, generator=generator)
    points, weights, bias = points.to(dtype), weights.to(dtype), bias.to(dtype)
    subset = layer_coreset(
        points, weights, num_neurons=24 if method == "optimal" else 20, activation=relu(),
        query_radius=3.0, bias=bias, method=method, generator=generator,
    )  # fmt: skip
    space = ball(3.0, dimension=8)
    found = layer_certificate(
        points, weights, subset, activation=relu(), bias=bias, space=space, effort=0.0
    )
    x = (queries(space, draw(space, 2000, generator=generator)) * 0.98).to(dtype)
    h = relu()(x @ points.T + bias)
    small = relu()(x @ points[subset.indices].T + bias[subset.indices])
    original = (h @ weights.T).double()
    pruned = (small @ subset.weights.T + subset.bias_shift).double()
    assert ((original - pruned).abs() <= found.certificate.bound).all()
    assert (found.slack > 0).all()


def test_a_step_that_may_flip_pays_for_its_jump():
    block = Block(
        points=torch.ones(1, 1), bias=torch.zeros(1), activation=step(), weights=torch.ones(1, 1)
    )
    sums = neuron_sums([block], torch.zeros(1))
    assert evaluation_error(sums, ball(1.0, dimension=1), dtype=torch.float32).item() >= 1.0
    away = ball(0.1, centre=torch.ones(1))
    assert evaluation_error(sums, away, dtype=torch.float32).item() < 1e-5


@pytest.mark.parametrize("kind", ["ball", "moved ball", "ellipsoid", "box", "point"])
def test_the_interval_holds_every_pre_activation(kind):
    generator = Generator().manual_seed(0)
    points, bias = normal(6, 4, generator=generator), normal(6, generator=generator)
    space = random_space(kind, d=4, size=2.0, generator=generator)
    low, high = interval(points, bias, space)
    z = queries(space, draw(space, 4000, generator=generator)) @ points.T + bias
    assert ((z >= low) & (z <= high)).all()
    assert (high - low <= 4 * (z.amax(0) - z.amin(0)) + 1e-9).all()


def test_certificates_cover_sums_of_huge_magnitude_that_cancel():
    points = torch.eye(2, dtype=torch.float64)
    block = Block(
        points=points,
        bias=torch.zeros(2),
        activation=relu(),
        weights=torch.tensor([[1e16, -1e16]]),
    )
    sums = neuron_sums([block], torch.ones(1))
    found = certificate(sums, ball(0.0, dimension=2))
    assert found.bound.item() >= 1.0


def test_what_may_overflow_has_no_bound():
    def error(size, weight):
        block = Block(
            points=torch.full((1, 1), size),
            bias=torch.zeros(1),
            activation=relu(),
            weights=torch.full((1, 1), weight),
        )
        sums = neuron_sums([block], torch.zeros(1))
        return evaluation_error(sums, ball(1.0, dimension=1), dtype=torch.float16).item()

    assert math.isfinite(error(6e4, 1.0))
    assert math.isfinite(error(1.0, 6e4))
    assert error(7e4, 1e-3) == math.inf
    assert error(10.0, 7e3) == math.inf
