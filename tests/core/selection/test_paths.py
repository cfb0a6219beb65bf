"""Paths by name: prices first, neurons later, and what is singular breaks none of them."""

import pytest
import torch
from asserts import assert_subset
from ridged import problem, ridged_error

from coreprune.core.coreset import METHODS
from coreprune.core.moments import Moments, MomentSum
from coreprune.core.reconstruction import expected_error, reconstructed, ridge_of
from coreprune.core.selection.paths import (
    PATH_METHODS,
    Reader,
    follows_a_path,
    kept_at,
    path_of,
    solved,
    subsets_of,
)
from coreprune.core.taps import columns


def subsets_at(method, readers, path, *, num_neurons):
    return solved(readers, kept_at(method, readers, path, num_neurons=num_neurons))


def reader(n, k=3, seed=0):
    w, covariance = problem(n, k, seed)
    return Reader(w, Moments(mean=torch.arange(n).double(), covariance=covariance))


def empirical(h):
    total = MomentSum()
    total.add(h)
    return total.moments()


def rows(count, n):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, n, generator=generator, dtype=torch.float64)


SINGULAR = {
    "all zero": Moments(mean=torch.ones(12).double(), covariance=torch.zeros(12, 12).double()),
    "constant": empirical(torch.ones(50, 12).double() * torch.arange(12)),
    "one constant": empirical(rows(50, 12) * (torch.arange(12) != 4) + 1e6),
    "duplicates": empirical(rows(50, 4).repeat(1, 3)),
    "few queries": empirical(rows(5, 12)),
    "large and small": empirical(rows(50, 12) * torch.logspace(-12, 12, 12).double()),
    "indefinite to rounding": Moments(
        mean=torch.zeros(12).double(), covariance=torch.ones(12, 12).double() - 1e-4 * torch.eye(12)
    ),
}


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("num_neurons", [1, 5, 11])
@pytest.mark.parametrize("moments", SINGULAR.values(), ids=SINGULAR)
def test_a_singular_covariance_gives_finite_weights(method, num_neurons, moments):
    w = reader(12).weights
    (subset,) = subsets_of(method, [Reader(w, moments)], num_neurons=num_neurons)
    assert_subset(subset, num_neurons=num_neurons, weights=w)
    assert len(subset.indices) == num_neurons
    assert subset.ridge >= ridge_of(moments.covariance)
    assert 1 <= subset.condition_number < 1e40


@pytest.mark.parametrize("method", PATH_METHODS)
def test_duplicates_go_without_error(method):
    w, moments = reader(12).weights, SINGULAR["duplicates"]
    (subset,) = subsets_of(method, [Reader(w, moments)], num_neurons=4)
    assert sorted((subset.indices % 4).tolist()) == [0, 1, 2, 3]
    nothing = reconstructed(w, moments, torch.tensor([0, 4, 8]), ridge=1e-6)
    assert expected_error(w, moments, subset) < 1e-9 * expected_error(w, moments, nothing)


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("num_neurons", [1, 10, 29])
def test_a_whole_path_and_one_that_stops_at_the_size_give_the_same_subsets(method, num_neurons):
    readers = [reader(30, seed=1), reader(30, k=2, seed=2)]
    at = subsets_at(method, readers, path_of(method, readers), num_neurons=num_neurons)
    for one, other in zip(at, subsets_of(method, readers, num_neurons=num_neurons), strict=True):
        assert torch.equal(one.indices, other.indices)
        assert torch.equal(one.weights, other.weights)
        assert torch.equal(one.indices, at[0].indices)


@pytest.mark.parametrize("method", PATH_METHODS)
def test_all_neurons_keep_their_weights_bit_for_bit_and_nothing_is_solved(method):
    one = reader(30)
    path = path_of(method, [one])
    (subset,) = subsets_at(method, [one], path, num_neurons=30)
    assert path.errors[0] == 0
    assert torch.equal(subset.weights, one.weights)
    assert not subset.bias_shift.any()
    assert (subset.ridge, subset.condition_number) == (None, None)


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("num_neurons", [1, 10, 29])
def test_the_path_prices_every_size(method, num_neurons):
    one = reader(30)
    path = path_of(method, [one])
    (subset,) = subsets_at(method, [one], path, num_neurons=num_neurons)
    error = ridged_error(one.weights, one.moments.covariance, subset.indices, path.ridge)
    price = float(path.errors[30 - num_neurons])
    if method == "optimal":
        assert error <= price * (1 + 1e-9)
    else:
        assert error == pytest.approx(price, rel=1e-8)


def test_optimal_is_never_worse_than_backward_and_sometimes_better():
    errors = {"backward": [], "optimal": []}
    for seed in range(20):
        one = reader(30, seed=seed)
        covariance = one.moments.covariance
        for method, found in errors.items():
            (subset,) = subsets_of(method, [one], num_neurons=8)
            found.append(
                ridged_error(one.weights, covariance, subset.indices, ridge_of(covariance))
            )
    pairs = list(zip(errors["optimal"], errors["backward"], strict=True))
    assert all(swapped <= plain * (1 + 1e-9) for swapped, plain in pairs)
    assert sum(swapped < 0.99 * plain for swapped, plain in pairs) >= 3


def test_the_methods_with_a_path_are_methods():
    assert [method for method in METHODS if follows_a_path(method)] == list(PATH_METHODS)
    assert not follows_a_path("uniform")


def channels(taps, n=20, seed=0):
    w, covariance = problem(n * taps, 3, seed)
    return Reader(w, Moments(mean=torch.arange(n * taps).double(), covariance=covariance), taps)


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("num_neurons", [1, 7, 19, 20])
def test_readers_keep_the_columns_of_the_same_channels(method, num_neurons):
    readers = [channels(3), reader(20), channels(2, seed=1)]
    path = path_of(method, readers)
    kept = kept_at(method, readers, path, num_neurons=num_neurons)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == num_neurons
    for one, subset in zip(readers, solved(readers, kept), strict=True):
        own = columns(kept, one.taps)
        assert_subset(subset, num_neurons=num_neurons * one.taps, weights=one.weights)
        assert torch.equal(subset.indices, own)
        expected = reconstructed(
            one.weights, one.moments, own, ridge=ridge_of(one.moments.covariance)
        )
        assert torch.equal(subset.weights, expected.weights)
        assert torch.equal(subset.bias_shift, expected.bias_shift)


@pytest.mark.parametrize("method", PATH_METHODS)
@pytest.mark.parametrize("num_neurons", [1, 7, 19])
def test_the_path_prices_every_number_of_channels(method, num_neurons):
    readers = [channels(3), reader(20), channels(2, seed=1)]
    path = path_of(method, readers)
    error = sum(
        ridged_error(
            one.weights,
            one.moments.covariance,
            subset.indices,
            ridge_of(one.moments.covariance),
        )
        for one, subset in zip(
            readers, subsets_of(method, readers, num_neurons=num_neurons), strict=True
        )
    )
    price = float(path.errors[20 - num_neurons])
    if method == "optimal":
        assert error <= price * (1 + 1e-9)
    else:
        assert error == pytest.approx(price, rel=1e-8)


@pytest.mark.parametrize("method", PATH_METHODS)
def test_duplicate_channels_go_without_error(method):
    w, moments = reader(12).weights, empirical(rows(50, 6).repeat(1, 2))
    (subset,) = subsets_of(method, [Reader(w, moments, 3)], num_neurons=2)
    assert sorted((subset.indices % 6).tolist()) == [*range(6)]
    nothing = reconstructed(w, moments, torch.tensor([0, 1, 2]), ridge=1e-6)
    assert expected_error(w, moments, subset) < 1e-9 * expected_error(w, moments, nothing)
