import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import random_layer

from coreprune.core.activations import gelu, hardtanh, prelu, relu, sigmoid, step, tanh
from coreprune.core.elementwise import custom, identity
from coreprune.core.sensitivity import probabilities, sensitivities, slope_sensitivities
from coreprune.errors import ArgumentError

POINTS = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0], [2.0, 1.0, 2.0]])
WEIGHTS = torch.tensor([[1.0, -2.0, 0.5], [-3.0, 1.0, 0.0], [2.0, 1.0, -0.25]])
BIAS = torch.tensor([-4.0, -9.0, 1.0])
# With β = 2: ‖p‖ = 5, 1, 3; z in [−14, 6], [−11, −7], [−5, 7]; max_i |w| = 3, 2, 1/2.


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (relu(), [18.0, 0.0, 3.5]),
        (identity(), [42.0, 22.0, 3.5]),
        (hardtanh(-8.0, 2.0), [24.0, 16.0, 2.5]),
        (step(), [3.0, 0.0, 0.5]),
        (tanh(), [3.0 * math.tanh(14), 2.0 * math.tanh(11), 0.5 * math.tanh(7)]),
        (prelu(torch.tensor([0.5, -1.0, 2.0])), [21.0, 22.0, 5.0]),
    ],
    ids=["relu", "identity", "hardtanh", "step", "tanh", "prelu"],
)
def test_sensitivities_worked_by_hand(activation, expected):
    s = sensitivities(POINTS, WEIGHTS, activation=activation, query_radius=2.0, bias=BIAS)
    assert s.dtype == torch.float64
    assert s.tolist() == pytest.approx(expected, abs=1e-12)


def test_a_non_monotone_activation_counts_its_dip():
    bias = torch.tensor([-12.0, -1.0, 0.0])  # z in [−22, −2], [−3, 1], [−6, 6]
    s = sensitivities(POINTS, WEIGHTS, activation=gelu(), query_radius=2.0, bias=bias)
    at_two = 2 * (1 + math.erf(-2 / math.sqrt(2))) / 2
    at_one = (1 + math.erf(1 / math.sqrt(2))) / 2
    assert s.tolist() == pytest.approx([3 * at_two, 2 * at_one, 0.5 * 6], rel=1e-6)
    dipping = sensitivities(
        POINTS[1:2], WEIGHTS[:, 1:2], activation=gelu(), query_radius=1.0, bias=torch.tensor([-1.2])
    )
    assert dipping.item() == pytest.approx(2 * 0.16997120747, rel=1e-9)  # neither end: φ(−0.7518)


@pytest.mark.parametrize("activation", [relu(), sigmoid()], ids=["relu", "sigmoid"])
def test_without_bias_they_are_the_paper_s(activation):
    layer = random_layer(20, d=5, k=4)
    s = sensitivities(layer.points, layer.weights, activation=activation, query_radius=1.7)
    paper = layer.weights.abs().amax(0) * activation(1.7 * layer.points.norm(dim=1))
    torch.testing.assert_close(s, paper, rtol=1e-14, atol=0)


def test_slope_sensitivities_worked_by_hand():
    ell = slope_sensitivities(POINTS, WEIGHTS, activation=relu(), query_radius=2.0)
    assert ell.tolist() == [30.0, 4.0, 3.0]
    slopes = prelu(torch.tensor([0.5, -3.0, 2.0]))
    ell = slope_sensitivities(POINTS, WEIGHTS, activation=slopes, query_radius=2.0)
    assert ell.tolist() == [30.0, 12.0, 6.0]


def test_a_jump_has_infinite_slope_only_where_the_neuron_moves_and_is_read():
    points, weights = POINTS.clone(), WEIGHTS.clone()
    points[1], weights[:, 2] = 0, 0
    ell = slope_sensitivities(points, weights, activation=step(), query_radius=2.0)
    assert ell.tolist() == [math.inf, 0.0, 0.0]


def test_they_scale_with_the_outgoing_weights():
    layer = random_layer(8)
    factors = torch.tensor([2.0, 0.5, 1, 4, 8, 0.25, 1, 2], dtype=torch.float64)
    given_layer = {"activation": gelu(), "query_radius": 1.5, "bias": layer.bias}
    s = sensitivities(layer.points, layer.weights, **given_layer)
    scaled = sensitivities(layer.points, -factors * layer.weights, **given_layer)
    assert torch.equal(scaled, factors * s)


def test_a_positively_homogeneous_activation_moves_a_factor_through():
    layer = random_layer(8)
    s = sensitivities(
        layer.points, layer.weights, activation=relu(), query_radius=1.5, bias=layer.bias
    )
    moved = sensitivities(
        4 * layer.points,
        layer.weights / 4,
        activation=relu(),
        query_radius=1.5,
        bias=4 * layer.bias,
    )
    torch.testing.assert_close(moved, s, rtol=1e-14, atol=0)


def test_they_are_permutation_equivariant():
    layer, order = random_layer(8), torch.randperm(8, generator=torch.Generator().manual_seed(1))
    s = sensitivities(
        layer.points, layer.weights, activation=gelu(), query_radius=1.5, bias=layer.bias
    )
    permuted = sensitivities(
        layer.points[order],
        layer.weights[:, order],
        activation=gelu(),
        query_radius=1.5,
        bias=layer.bias[order],
    )
    assert torch.equal(permuted, s[order])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_precisions_agree_with_float64_to_single_rounding(dtype):
    layer = random_layer(8, d=50, dtype=dtype)
    wide = [tensor.double() for tensor in (layer.points, layer.weights, layer.bias)]
    short = sensitivities(
        layer.points, layer.weights, activation=relu(), query_radius=3.0, bias=layer.bias
    )
    exact = sensitivities(*wide[:2], activation=relu(), query_radius=3.0, bias=wide[2])
    torch.testing.assert_close(short, exact, rtol=1e-6, atol=0)


def test_a_norm_whose_square_overflows_its_dtype_is_right():
    points, weights = torch.tensor([[3e30, 4e30]]), torch.ones(1, 1)
    s = sensitivities(points, weights, activation=relu(), query_radius=1.0)
    assert s.item() == pytest.approx(5e30, rel=1e-6)


def test_an_activation_that_overflows_on_the_ball_is_refused():
    explosive = custom(torch.exp, lipschitz=math.inf, monotone=True, name="exp")
    with pytest.raises(ArgumentError, match=r"query_radius must keep exp finite.* got 1000\.0"):
        sensitivities(POINTS, WEIGHTS, activation=explosive, query_radius=1000.0)
    unread = torch.zeros_like(WEIGHTS)
    s = sensitivities(POINTS, unread, activation=explosive, query_radius=1000.0)
    assert s.tolist() == [0.0, 0.0, 0.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    radius=st.floats(0.0, 20.0),
    activation=st.sampled_from([relu(), gelu(), sigmoid(), tanh(), hardtanh(-3.0, 0.5)]),
)
def test_no_query_of_the_ball_beats_a_sensitivity(seed, radius, activation):
    layer = random_layer(5, seed=seed)
    s = sensitivities(
        layer.points, layer.weights, activation=activation, query_radius=radius, bias=layer.bias
    )
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 3, dtype=torch.float64, generator=generator)
    towards = torch.cat([layer.points, -layer.points])  # the queries that reach both ends
    x = radius * torch.nn.functional.normalize(torch.cat([x, towards]))
    x = torch.cat([x, x * torch.rand(len(x), 1, dtype=torch.float64, generator=generator)])
    h = activation(x @ layer.points.T + layer.bias).abs().amax(0)
    reached = layer.weights.abs().amax(0) * h
    assert (reached <= s * (1 + 1e-12) + 1e-15).all()
    if activation.name in {"relu", "sigmoid", "tanh", "hardtanh"}:  # monotone: an end attains it
        torch.testing.assert_close(reached, s, rtol=1e-9, atol=1e-12)


def test_probabilities_are_the_normalised_sensitivities():
    s = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    assert probabilities(s).tolist() == [0.25, 0.0, 0.75]
    assert probabilities(torch.zeros(4)).tolist() == [0.25] * 4
