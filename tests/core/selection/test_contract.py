"""What every method keeps to, whatever it chooses."""

import pytest
import torch
from asserts import assert_subset, hoeffding_radius
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Layer, random_layer
from torch import Generator, Tensor

from coreprune.core.activations import gelu, relu
from coreprune.core.coreset import METHODS, Method, layer_coreset, select
from coreprune.core.moments import activation_moments, affine_moments, spherical
from coreprune.core.selection.importance import importance
from coreprune.core.selection.magnitude import magnitude
from coreprune.core.selection.optimal import optimal
from coreprune.core.selection.paths import PATH_METHODS, Reader, subsets_of
from coreprune.core.selection.priority import priority
from coreprune.core.selection.uniform import uniform
from coreprune.core.sensitivity import sensitivities
from coreprune.core.subset import WeightedSubset

DETERMINISTIC: tuple[Method, ...] = (*PATH_METHODS, "magnitude")
SAMPLING = tuple(method for method in METHODS if method not in DETERMINISTIC)
BY_SENSITIVITY: tuple[Method, ...] = ("importance", "priority")


def _coreset(layer: Layer, method: Method, num_neurons: int, *, seed: int = 0) -> WeightedSubset:
    return layer_coreset(
        layer.points,
        layer.weights,
        num_neurons=num_neurons,
        activation=gelu(),
        query_radius=2.0,
        bias=layer.bias,
        method=method,
        generator=Generator().manual_seed(seed),
    )


def _select(
    method: Method, weights: Tensor, s: Tensor, *, points: Tensor | None = None, seed: int = 0
) -> WeightedSubset:
    return select(
        method,
        torch.diag(s) if points is None else points,
        weights,
        sensitivities=s,
        num_neurons=2,
        generator=Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 999))
def test_indices_are_sorted_distinct_and_in_range(method, data, seed):
    n = data.draw(st.integers(1, 12))
    num_neurons = data.draw(st.integers(1, n))
    layer = random_layer(n, k=data.draw(st.integers(1, 3)), seed=seed)
    subset = _coreset(layer, method, num_neurons, seed=seed)
    assert_subset(subset, num_neurons=num_neurons, weights=layer.weights)
    assert method in PATH_METHODS or (subset.bias_shift == 0).all()
    if method != "importance":
        assert len(subset.indices) == num_neurons


@pytest.mark.parametrize("method", METHODS)
def test_the_same_generator_gives_the_same_coreset(method):
    layer = random_layer(40)
    first, second = (_coreset(layer, method, 15, seed=7) for _ in range(2))
    assert torch.equal(first.indices, second.indices)
    assert torch.equal(first.weights, second.weights)


@pytest.mark.parametrize("method", SAMPLING)
def test_another_seed_gives_another_coreset(method):
    layer = random_layer(40)
    kept = {tuple(_coreset(layer, method, 15, seed=seed).indices.tolist()) for seed in range(5)}
    assert len(kept) > 1


@pytest.mark.parametrize("method", METHODS)
def test_global_randomness_is_neither_used_nor_moved(method):
    before = torch.get_rng_state()
    _coreset(random_layer(40), method, 15)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_are_unchanged_and_not_shared(method):
    layer, copy = random_layer(9), random_layer(9)
    for num_neurons in (4, 9):
        subset = _coreset(layer, method, num_neurons)
        subset.weights.zero_()
        subset.bias_shift.fill_(1)
        for tensor, original in zip(
            (layer.points, layer.weights, layer.bias),
            (copy.points, copy.weights, copy.bias),
            strict=True,
        ):
            assert torch.equal(tensor, original)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keeping_every_neuron_returns_the_weights_exactly(method, dtype):
    layer = random_layer(9, dtype=dtype)
    subset = _coreset(layer, method, 9)
    assert subset.indices.tolist() == list(range(9))
    assert subset.weights.dtype == dtype
    assert torch.equal(subset.weights, layer.weights)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_coreset_has_the_dtype_of_its_layer(method, dtype):
    layer = random_layer(30, dtype=dtype)
    assert_subset(_coreset(layer, method, 10), num_neurons=10, weights=layer.weights)


@pytest.mark.parametrize("method", METHODS)
def test_the_only_neuron_stays_as_it_is(method):
    layer = random_layer(1)
    subset = _coreset(layer, method, 1)
    assert subset.indices.tolist() == [0]
    assert torch.equal(subset.weights, layer.weights)


@pytest.mark.parametrize("method", METHODS)
def test_one_neuron_can_be_asked_for(method):
    subset = _coreset(random_layer(12), method, 1)
    assert len(subset.indices) == 1
    assert subset.num_draws in {None, 1}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_neurons", [1, 3, 5])
def test_a_layer_of_zeros_gives_a_coreset_of_zeros(method, num_neurons):
    subset = layer_coreset(
        torch.zeros(5, 2),
        torch.zeros(3, 5),
        num_neurons=num_neurons,
        activation=relu(),
        query_radius=1.0,
        method=method,
        generator=Generator(),
    )
    assert 1 <= len(subset.indices) <= num_neurons
    assert (subset.weights == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_scaling_the_outgoing_weights_scales_the_coreset(method):
    layer = random_layer(20)
    subset = _coreset(layer, method, 8)
    scaled = Layer(points=layer.points, weights=-4 * layer.weights, bias=layer.bias)
    rescaled = _coreset(scaled, method, 8)
    assert torch.equal(rescaled.indices, subset.indices)
    assert torch.equal(rescaled.weights, -4 * subset.weights)


@pytest.mark.parametrize("method", DETERMINISTIC)
def test_a_deterministic_method_is_permutation_equivariant(method):
    layer, order = random_layer(20), torch.randperm(20, generator=Generator().manual_seed(1))
    subset = _coreset(layer, method, 8)
    permuted = _coreset(
        Layer(points=layer.points[order], weights=layer.weights[:, order], bias=layer.bias[order]),
        method,
        8,
    )
    back, ranks = order[permuted.indices].sort()
    assert torch.equal(back, subset.indices)
    torch.testing.assert_close(permuted.weights[:, ranks], subset.weights)


@pytest.mark.parametrize("method", SAMPLING)
def test_a_sampling_method_keeps_a_neuron_as_often_wherever_it_stands(method):
    """Two means of 1500 indicators within two Hoeffding radii; false alarm below 5 · 2e-9."""
    s, order = torch.tensor([4.0, 1.0, 0.5, 2.0, 2.5]), torch.tensor([3, 0, 4, 2, 1])
    kept = torch.zeros(2, 5, dtype=torch.float64)
    for seed in range(1500):
        kept[0, _select(method, torch.ones(1, 5), s, seed=seed).indices] += 1 / 1500
        permuted = _select(method, torch.ones(1, 5), s[order], seed=10_000 + seed)
        kept[1, order[permuted.indices]] += 1 / 1500
    assert (kept[0] - kept[1]).abs().max() <= 2 * hoeffding_radius(1500)


@pytest.mark.parametrize("method", BY_SENSITIVITY)
def test_a_neuron_of_zero_sensitivity_is_never_drawn(method):
    s, drawn = torch.tensor([0.0, 4.0, 0.0, 1.0, 1.0, 0.0, 3.0]), set()
    for seed in range(200):
        drawn |= set(_select(method, torch.ones(1, 7), s, seed=seed).indices.tolist())
    assert drawn == {1, 3, 4, 6}


@pytest.mark.parametrize("method", BY_SENSITIVITY)
def test_what_is_silent_on_the_ball_is_left_out_first(method):
    points = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    bias = torch.tensor([0.5, -9.0, 0.0])
    subset = layer_coreset(
        points,
        torch.ones(1, 3),
        num_neurons=2,
        activation=relu(),
        query_radius=2.0,
        bias=bias,
        method=method,
        generator=Generator(),
    )
    assert subset.indices.tolist() == [0, 2]  # neuron 1 needs z > 0, and z ≤ −9 + 4
    assert subset.weights.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("method", METHODS)
def test_a_name_leads_to_its_method(method):
    layer = random_layer(20)
    s = sensitivities(
        layer.points, layer.weights, activation=gelu(), query_radius=2.0, bias=layer.bias
    )
    z = affine_moments(layer.points, layer.bias, spherical(layer.points.shape[1], 2.0))
    moments = activation_moments(z, gelu())
    generator = Generator().manual_seed(0)
    sampled = {"num_neurons": 8, "generator": generator}
    direct = {
        "optimal": lambda: optimal(layer.weights, moments, num_neurons=8),
        "backward": lambda: subsets_of("backward", [Reader(layer.weights, moments)], num_neurons=8)[
            0
        ],
        "forward": lambda: subsets_of("forward", [Reader(layer.weights, moments)], num_neurons=8)[
            0
        ],
        "importance": lambda: importance(layer.weights, s, **sampled),
        "priority": lambda: priority(layer.weights, s, **sampled),
        "uniform": lambda: uniform(layer.weights, **sampled),
        "magnitude": lambda: magnitude(layer.points, layer.weights, num_neurons=8),
    }[method]()
    subset = _coreset(layer, method, 8)
    assert torch.equal(direct.indices, subset.indices)
    assert torch.equal(direct.weights, subset.weights)
