import math
from dataclasses import dataclass

import pytest
import torch
from asserts import fails_more_often
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Layer, random_layer
from torch import Generator, Tensor

from coreprune.core.activations import relu, sigmoid, step
from coreprune.core.elementwise import Activation, identity
from coreprune.core.sample_size import draws_for_error, error_of_draws, spread
from coreprune.core.selection.importance import importance_draws
from coreprune.core.sensitivity import sensitivities, slope_sensitivities
from coreprune.errors import ArgumentError

BUDGET = {"total": 5.0, "spread": 4.0, "num_outputs": 10, "delta": 0.01}
RADIUS, DRAWS, RUNS, DELTA = 2.0, 50, 300, 0.1


def _differences(layer: Layer, s: Tensor, *, seed: int = 0) -> Tensor:
    """u − w of `RUNS` coresets of `DRAWS` draws. Shape (runs, k, n)."""
    generator = Generator().manual_seed(seed)
    differences = -layer.weights.repeat(RUNS, 1, 1)
    for run in differences:
        subset = importance_draws(layer.weights, s, num_draws=DRAWS, generator=generator)
        run[:, subset.indices] += subset.weights
    return differences


def _relu_errors(layer: Layer, differences: Tensor) -> Tensor:
    """Exact: on a line the difference is piecewise linear, largest at a kink or an end."""
    kinks = (-layer.bias / layer.points[:, 0]).clamp(-RADIUS, RADIUS)
    x = torch.cat([kinks, torch.tensor([-RADIUS, RADIUS], dtype=torch.float64)])
    h = (x[:, None] * layer.points[:, 0] + layer.bias).relu()
    return (differences @ h.T).abs().amax((1, 2))


def _sigmoid_errors(layer: Layer, differences: Tensor) -> Tensor:
    """Never too small: the maximum of a grid plus what the slope can add within half a step."""
    x = torch.linspace(-RADIUS, RADIUS, 2001, dtype=torch.float64)
    h = (x[:, None] * layer.points[:, 0] + layer.bias).sigmoid()
    slope = differences.abs() @ layer.points[:, 0].abs() / 4
    grid = (differences @ h.T).abs().amax(2)
    return (grid + slope * RADIUS / 2000).amax(1)


def _linear_errors(layer: Layer, differences: Tensor) -> Tensor:
    """Exact in any dimension: a linear form is largest at β times its norm."""
    offsets = (differences @ layer.bias).abs()
    return (offsets + RADIUS * (differences @ layer.points).norm(dim=2)).amax(1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    name: str
    eps: float
    errors: Tensor


EXPERIMENTS = {
    "relu": (relu(), random_layer(30, d=1, k=3), _relu_errors),
    "sigmoid": (sigmoid(), random_layer(30, d=1, k=3), _sigmoid_errors),
    "linear": (identity(), random_layer(60, d=40, k=1), _linear_errors),
}


@pytest.fixture(scope="module", params=EXPERIMENTS)
def experiment(request) -> Experiment:
    activation, layer, exact_errors = EXPERIMENTS[request.param]
    s, slope_s = _both_sensitivities(layer, activation)
    eps = error_of_draws(
        DRAWS,
        total=s.sum().item(),
        spread=spread(s, slope_s),
        num_outputs=len(layer.weights),
        delta=DELTA,
    )
    return Experiment(
        name=request.param, eps=eps, errors=exact_errors(layer, _differences(layer, s))
    )


def _both_sensitivities(layer: Layer, activation: Activation) -> tuple[Tensor, Tensor]:
    s = sensitivities(
        layer.points, layer.weights, activation=activation, query_radius=RADIUS, bias=layer.bias
    )
    slope = slope_sensitivities(
        layer.points, layer.weights, activation=activation, query_radius=RADIUS
    )
    return s, slope


def test_the_guarantee_holds_where_the_supremum_is_exact(experiment, record_testsuite_property):
    quantile = torch.quantile(experiment.errors, 1 - DELTA).item()
    ratio = experiment.eps / quantile
    record_testsuite_property(f"bound over quantile, {experiment.name}", f"{ratio:.2f}")
    assert not fails_more_often(experiment.errors, experiment.eps, delta=DELTA)


def test_the_guarantee_is_within_a_small_factor_of_the_truth(experiment):
    quantile = torch.quantile(experiment.errors, 1 - DELTA).item()
    assert 1 < experiment.eps / quantile < 6


def test_a_bound_below_the_quantile_is_rejected(experiment):
    quantile = torch.quantile(experiment.errors, 1 - DELTA).item()
    assert fails_more_often(experiment.errors, 0.99 * quantile, delta=DELTA)


def test_the_mean_one_sided_error_is_below_the_spread_s_share():
    """E sup ≤ 2Λ / √m alone, without the deviation term, one side at a time."""
    activation, layer, _ = EXPERIMENTS["linear"]
    differences = _differences(layer, _both_sensitivities(layer, activation)[0])[:, 0]
    one_sided = differences @ layer.bias + RADIUS * (differences @ layer.points).norm(dim=1)
    share = 2 * spread(*_both_sensitivities(layer, activation)) / math.sqrt(DRAWS)
    assert one_sided.mean().item() <= share
    assert one_sided.mean().item() > share / 4


def test_the_spread_worked_by_hand():
    s, slope = torch.tensor([1.0, 3.0, 0.0]), torch.tensor([2.0, 6.0, 100.0])
    assert spread(s, slope) == 8.0  # √(4 · (4/1 + 36/3)); the neuron without sensitivity is out
    assert spread(torch.zeros(2), torch.ones(2)) == 0.0


def test_the_error_worked_by_hand():
    """(2 · 4 + 5 √(2 ln(2 · 10 / 0.01))) / √100, in which 2 ln 2000 = 15.2018049…"""
    assert error_of_draws(100, **BUDGET) == pytest.approx((8 + 5 * 3.89895) / 10, rel=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(s=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20), data=st.data())
def test_the_spread_is_at_most_the_total_where_sensitivities_cover_slopes(s, data):
    shares = st.lists(st.floats(0, 1), min_size=len(s), max_size=len(s))
    sensitivity = torch.tensor(s, dtype=torch.float64)
    slope = sensitivity * torch.tensor(data.draw(shares), dtype=torch.float64)
    assert spread(sensitivity, slope) <= sensitivity.sum().item() * (1 + 1e-12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(eps=st.floats(1e-4, 1e3))
def test_the_number_of_draws_is_the_least_that_suffices(eps):
    draws = draws_for_error(eps, **BUDGET)
    assert error_of_draws(draws, **BUDGET) <= eps * (1 + 1e-12)
    if draws > 1:
        assert error_of_draws(draws - 1, **BUDGET) > eps * (1 - 1e-12)


@pytest.mark.parametrize("draws", [1, 7, 1000, 10**9])
def test_the_error_of_draws_asks_for_those_draws_again(draws):
    eps = error_of_draws(draws, **BUDGET)
    assert draws_for_error(eps * (1 + 1e-12), **BUDGET) == draws


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({}, {"num_draws": 200}),
        ({"total": 6.0}, {}),
        ({"spread": 5.0}, {}),
        ({"num_outputs": 11}, {}),
        ({"delta": 0.001}, {}),
    ],
)
def test_the_error_moves_the_right_way(worse, better):
    before = {"num_draws": 100} | BUDGET
    assert error_of_draws(**(before | worse)) > error_of_draws(**(before | better))


def test_four_times_the_draws_halve_the_error():
    assert error_of_draws(400, **BUDGET) == pytest.approx(error_of_draws(100, **BUDGET) / 2)


def test_a_jump_has_no_guarantee():
    layer = random_layer(5)
    s, slope = _both_sensitivities(layer, step())
    assert spread(s, slope) == math.inf
    hopeless = BUDGET | {"spread": math.inf}
    assert error_of_draws(10, **hopeless) == math.inf
    with pytest.raises(ArgumentError, match=r"not Lipschitz.*choose num_neurons"):
        draws_for_error(0.1, **hopeless)


def test_a_layer_that_says_nothing_needs_one_draw():
    assert draws_for_error(0.1, **(BUDGET | {"total": 0.0, "spread": 0.0})) == 1


def test_a_guarantee_may_ask_for_more_draws_than_there_are_neurons():
    layer = random_layer(30)
    s, slope = _both_sensitivities(layer, relu())
    reachable = (layer.weights.abs() @ (RADIUS * layer.points.norm(dim=1) + layer.bias.abs())).max()
    draws = draws_for_error(
        0.01 * reachable.item(),
        total=s.sum().item(),
        spread=spread(s, slope),
        num_outputs=2,
        delta=0.05,
    )
    assert draws > 1000 * 30


@pytest.mark.parametrize("function", [error_of_draws, draws_for_error])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_outputs": 0}, "num_outputs must be at least 1, got 0"),
        ({"delta": 0.0}, r"delta must lie strictly between 0 and 1, got 0\.0"),
        ({"delta": 1.0}, r"delta .* got 1\.0"),
        ({"delta": math.nan}, r"delta .* got nan"),
    ],
)
def test_an_argument_out_of_range_is_named(function, change, message):
    with pytest.raises(ArgumentError, match=message):
        function(3, **(BUDGET | change))


def test_draws_and_errors_are_positive():
    with pytest.raises(ArgumentError, match="num_draws must be at least 1, got 0"):
        error_of_draws(0, **BUDGET)
    for eps in (0.0, -1.0, math.nan):
        with pytest.raises(ArgumentError, match=f"eps must be positive, got {eps}"):
            draws_for_error(eps, **BUDGET)
