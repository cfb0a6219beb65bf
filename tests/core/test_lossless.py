"""What goes without a loss: by hand, and as properties of random layers with planted neurons."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from coreprune.core.activations import (
    Activation,
    affine,
    compose,
    gelu,
    identity,
    leaky_relu,
    prelu,
    relu,
    sigmoid,
    softplus,
    step,
    tanh,
)
from coreprune.core.lossless import Removal, largest_output, remove_lossless
from coreprune.core.parallel import Reading

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
EPS32 = torch.finfo(torch.float32).eps


def reading(
    points,
    bias,
    weights,
    *,
    activation: Activation | None = None,
    parameters=None,
    free_bias: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Reading:
    points = torch.as_tensor(points, dtype=torch.float64).to(dtype)
    return Reading(
        points=points,
        bias=torch.as_tensor(bias, dtype=torch.float64).to(dtype),
        activation=activation or relu(),
        weights=torch.as_tensor(weights, dtype=torch.float64).to(dtype),
        parameters=points.new_zeros(len(points), 0) if parameters is None else parameters,
        free_bias=free_bias,
        eps=torch.finfo(dtype).eps,
    )


def kept(layer: Reading, removal: Removal, *, of: int = 0) -> Reading:
    """What a removal leaves of a layer without parameters of its own."""
    subset = removal.subsets[of]
    return Reading(
        points=layer.points[subset.indices],
        bias=layer.bias[subset.indices],
        activation=layer.activation,
        weights=subset.weights,
        parameters=layer.parameters[subset.indices],
        free_bias=layer.free_bias,
        eps=layer.eps,
    )


def output(layer: Reading, x: torch.Tensor) -> torch.Tensor:
    hidden = layer.activation(x @ layer.points.double().T + layer.bias.double())
    return hidden @ layer.weights.double().T


PLANE = [[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]]
ONES = [[1.0, 2.0, 4.0]]


def test_a_neuron_is_dead_exactly_from_its_radius_on():
    layer = reading(PLANE, [-10.0, 0.0, 0.0], ONES)
    assert remove_lossless([layer], query_radius=1.999999).reasons == {0: "dead"}
    assert not remove_lossless([layer], query_radius=2.000001).reasons
    assert not remove_lossless([layer], query_radius=math.inf).reasons


def test_a_neuron_without_inputs_goes_into_the_next_bias_whatever_the_radius():
    layer = reading([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [3.0, 0.0, -1.0], [[2.0, 1.0, 5.0]])
    removal = remove_lossless([layer], query_radius=math.inf)
    assert removal.reasons == {0: "constant", 2: "dead"}
    assert removal.subsets[0].bias_shift.tolist() == [6.0]


def test_a_constant_stays_where_the_bias_is_not_the_readers_own():
    layer = reading(
        [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [3.0, 0.0, -1.0], [[2.0, 1.0, 5.0]], free_bias=False
    )
    assert remove_lossless([layer], query_radius=1.0).reasons == {2: "dead"}


def test_duplicates_add_their_outgoing_weights():
    layer = reading([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]], [0.5, 0.0, 0.5], ONES, activation=tanh())
    removal = remove_lossless([layer], query_radius=1.0)
    assert removal.reasons == {2: "duplicate"}
    assert removal.subsets[0].weights.tolist() == [[5.0, 2.0]]


@pytest.mark.parametrize("activation", [relu(), leaky_relu(), prelu(torch.tensor([-0.5]))])
def test_the_longer_of_two_collinear_neurons_stays_with_the_factor(activation):
    layer = reading(
        [[1.0, 2.0], [0.0, 1.0], [2.0, 4.0]], [1.0, 0.0, 2.0], ONES, activation=activation
    )
    removal = remove_lossless([layer], query_radius=5.0)
    assert removal.reasons == {0: "collinear"}
    assert removal.subsets[0].weights.tolist() == [[2.0, 4.5]]


@pytest.mark.parametrize("activation", [relu(), leaky_relu(0.3)])
def test_opposite_neurons_both_stay(activation):
    layer = reading([[1.0, 2.0], [-1.0, -2.0]], [1.0, -1.0], [[1.0, 1.0]], activation=activation)
    assert not remove_lossless([layer], query_radius=5.0).reasons


@pytest.mark.parametrize("activation", [sigmoid(), tanh(), gelu(), softplus(), step()])
def test_multiples_stay_where_the_activation_is_not_homogeneous(activation):
    layer = reading([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0], [[1.0, 1.0]], activation=activation)
    assert not remove_lossless([layer], query_radius=5.0).reasons


@pytest.mark.parametrize("activation", [sigmoid(), step(), compose(relu(), affine(2.0, 1.0))])
def test_neurons_that_differ_in_the_last_bit_stay_where_that_may_matter(activation):
    after = math.nextafter(1.0, 2.0)
    layer = reading([[1.0, 2.0], [after, 2.0]], [0.0, 0.0], [[1.0, 1.0]], activation=activation)
    assert not remove_lossless([layer], query_radius=5.0).reasons


@pytest.mark.parametrize(("distance", "goes"), [(1, True), (2, True), (4, False)])
def test_entries_count_as_equal_to_two_roundings(distance, goes):
    row = torch.tensor([1.0, 1.5])
    other = row * torch.tensor([1.0, 1 + distance * EPS32])
    layer = reading(torch.stack([row, other]), [0.0, 0.0], [[1.0, 1.0]], dtype=torch.float32)
    assert bool(remove_lossless([layer], query_radius=1.0).reasons) == goes


def test_slopes_of_their_own_keep_neurons_apart():
    slopes = torch.tensor([0.1, 0.2, 0.1], dtype=torch.float64)
    layer = reading(
        [[1.0, 2.0]] * 3, [1.0] * 3, ONES, activation=prelu(slopes), parameters=slopes[:, None]
    )
    removal = remove_lossless([layer], query_radius=5.0)
    assert removal.reasons == {2: "duplicate"}
    assert removal.subsets[0].weights.tolist() == [[5.0, 2.0]]


def test_parameters_of_any_activation_keep_neurons_apart():
    scales = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    layer = reading(
        [[1.0, 2.0]] * 3,
        [1.0] * 3,
        ONES,
        activation=compose(tanh(), affine(scales, 0.0)),
        parameters=scales[:, None],
    )
    assert remove_lossless([layer], query_radius=5.0).reasons == {2: "duplicate"}


@pytest.mark.parametrize("free_bias", [True, False])
def test_straight_lines_take_any_factor_and_shift(free_bias):
    layer = reading(
        [[1.0, 2.0], [0.0, 1.0], [-2.0, -4.0]],
        [1.0, 0.0, 3.0],
        ONES,
        activation=identity(),
        free_bias=free_bias,
    )
    removal = remove_lossless([layer], query_radius=5.0)
    if not free_bias:
        assert not removal.reasons
        return
    assert removal.reasons == {0: "collinear"}
    assert removal.subsets[0].weights.tolist() == [[2.0, 3.5]]  # z_0 = −z_2/2 + 5/2
    assert removal.subsets[0].bias_shift.tolist() == [2.5]


def test_unread_neurons_and_those_whose_merged_weights_cancel_go():
    layer = reading(
        [[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [1.0, 0.0]], [1.0] * 4, [[1.0, 0, -1.0, 2]]
    )
    removal = remove_lossless([layer], query_radius=5.0)
    assert removal.reasons == {1: "unread", 2: "duplicate", 0: "unread"}
    assert removal.subsets[0].weights.tolist() == [[2.0]]


def test_one_neuron_stays_where_none_is_needed():
    layer = reading(PLANE, [-99.0, -99.0, -99.0], ONES)
    removal = remove_lossless([layer], query_radius=1.0)
    assert removal.subsets[0].indices.tolist() == [0]
    assert not removal.subsets[0].bias_shift.any()


def test_a_saturated_sigmoid_is_a_constant_to_the_rounding_of_the_stored_type():
    points, bias = [[1.0, 0.0], [0.0, 1.0]], [20.0, 0.0]
    for dtype, reasons in ((torch.float32, {0: "constant"}), (torch.float64, {})):
        layer = reading(points, bias, [[3.0, 1.0]], activation=sigmoid(), dtype=dtype)
        removal = remove_lossless([layer], query_radius=1.0)
        assert removal.reasons == reasons
        assert removal.subsets[0].bias_shift.sum() == pytest.approx(3.0 * len(reasons))


def test_a_neuron_goes_only_when_no_reader_needs_it():
    points, bias = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]], [-9.0, -18.0, 0.0, 0.0]
    first = reading(points, bias, [[1.0, 1.0, 1.0, 1.0]])
    second = reading(points, bias, [[0.0, 1.0, 1.0, 1.0]], activation=tanh())
    removal = remove_lossless([first, second], query_radius=1.0)
    assert removal.reasons == {0: "dead"}  # unread by the second
    third = reading(points, bias, [[1.0, 1.0, 1.0, 1.0]], activation=leaky_relu())
    removal = remove_lossless([first, third], query_radius=1.0)
    assert removal.reasons == {0: "collinear", 2: "collinear"}


def planted(n: int, *, d: int, dtype: torch.dtype, generator: Generator) -> Reading:
    """A ReLU layer, a third of it dead or without inputs, a third multiples of others."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    points, bias = draw(n, d).to(dtype), draw(n).to(dtype)
    for j in range(n):
        kind = int(torch.randint(6, (), generator=generator))
        source = int(torch.randint(n, (), generator=generator))
        if kind == 0:
            bias[j] = -2 * points[j].double().norm() - 1
        elif kind == 1:
            points[j] = 0
        elif kind in {2, 3}:
            factor = 1.0 if kind == 2 else float(draw(()).exp())
            points[j] = (factor * points[source].double()).to(dtype)
            bias[j] = (factor * bias[source].double()).to(dtype)
    weights = draw(3, n)
    weights[:, torch.rand(n, generator=generator) < 0.1] = 0
    return reading(points, bias, weights, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 24), d=st.integers(1, 6))
def test_outputs_are_equal_to_rounding_and_nothing_removable_is_left(dtype, seed, n, d):
    generator = Generator().manual_seed(seed)
    layer = planted(n, d=d, dtype=dtype, generator=generator)
    removal = remove_lossless([layer], query_radius=2.0)
    small, subset = kept(layer, removal), removal.subsets[0]
    assert sorted({*subset.indices.tolist(), *removal.reasons}) == list(range(n))
    x = torch.randn(64, d, dtype=torch.float64, generator=generator)
    x = 2 * x / x.norm(dim=1, keepdim=True).clamp_min(1.0)
    size = layer.weights.double().abs() @ (
        2 * layer.points.double().norm(dim=1) + layer.bias.double().abs()
    )
    moved = (output(layer, x) - output(small, x) - subset.bias_shift).abs().amax(0)
    assert (moved <= (4 + n) * layer.eps * size).all()
    assert not remove_lossless([small], query_radius=2.0).reasons or len(small.points) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_planted_multiples_are_found_among_many(dtype):
    generator = Generator().manual_seed(5)
    points = torch.randn(60, 40, generator=generator).to(dtype)
    factors = torch.rand(60, 1, generator=generator) + 0.5
    both = torch.cat([points, (points.double() * factors).to(dtype)])
    order = torch.randperm(120, generator=generator)
    bias = torch.zeros(120)
    layer = reading(both[order], bias, torch.ones(1, 120), dtype=dtype)
    removal = remove_lossless([layer], query_radius=1.0)
    assert sorted(set(order.tolist())) == list(range(120))
    assert len(removal.reasons) == 60


def test_the_bound_of_the_outputs_holds_and_is_attained_by_one_neuron():
    layer = reading([[3.0, 4.0]], [1.0], [[1.0]])
    assert largest_output(layer, query_radius=2.0) == pytest.approx(11.0)
    assert largest_output(layer, query_radius=math.inf) == math.inf
    bounded = reading(PLANE, [0.0] * 3, ONES, activation=tanh())
    assert largest_output(bounded, query_radius=math.inf) == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("activation", [relu(), sigmoid(), gelu(), identity(), leaky_relu(-2.0)])
def test_no_query_gives_more_than_the_bound(activation):
    generator = Generator().manual_seed(2)
    points = torch.randn(20, 5, dtype=torch.float64, generator=generator)
    bias = torch.randn(20, dtype=torch.float64, generator=generator)
    layer = reading(points, bias, torch.ones(1, 20), activation=activation)
    x = torch.randn(4096, 5, dtype=torch.float64, generator=generator)
    x = 3 * x / x.norm(dim=1, keepdim=True)
    norms = activation(x @ points.T + bias).norm(dim=1)
    assert norms.max() <= largest_output(layer, query_radius=3.0)
