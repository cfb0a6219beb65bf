"""Optimal outgoing weights: against least squares, and what must hold exactly."""

import dataclasses

import pytest
import torch

from coreprune.core.moments import CrossSum, Moments, MomentSum
from coreprune.core.reconstruction import (
    condition_number,
    expected_error,
    factored,
    inverse_of,
    reconstructed,
    refitted,
    ridge_of,
)
from coreprune.errors import ArgumentError


def problem(n=12, k=3, rows=400):
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(rows, n, generator=generator, dtype=torch.float64) @ torch.randn(
        n, n, generator=generator, dtype=torch.float64
    )
    h += torch.arange(n)
    total = MomentSum()
    total.add(h)
    return h, torch.randn(k, n, generator=generator, dtype=torch.float64), total.moments()


def test_it_is_the_least_squares_fit_with_intercept():
    h, w, moments = problem()
    indices = torch.tensor([0, 3, 4, 9])
    subset = reconstructed(w, moments, indices, ridge=1e-12)
    design = torch.cat([h[:, indices], torch.ones(len(h), 1)], dim=1)
    solution = torch.linalg.lstsq(design, h @ w.T).solution
    torch.testing.assert_close(subset.weights, solution[:-1].T)
    torch.testing.assert_close(subset.bias_shift, solution[-1])


def test_keeping_everything_returns_the_weights_bit_for_bit():
    _, w, moments = problem()
    subset = reconstructed(w, moments, torch.arange(12), ridge=0.1)
    assert torch.equal(subset.weights, w)
    assert not subset.bias_shift.any()


def test_a_large_ridge_keeps_the_old_weights():
    _, w, moments = problem()
    indices = torch.tensor([1, 2])
    subset = reconstructed(w, moments, indices, ridge=1e15)
    torch.testing.assert_close(subset.weights, w[:, indices])


def test_a_duplicate_goes_without_error():
    h, w, _ = problem()
    h = torch.cat([h, h[:, 5:6]], dim=1)
    w = torch.cat([w, torch.ones(3, 1)], dim=1)
    total = MomentSum()
    total.add(h)
    moments = total.moments()
    subset = reconstructed(w, moments, torch.arange(12), ridge=ridge_of(moments.covariance, 1e-9))
    torch.testing.assert_close(subset.weights[:, 5], w[:, 5] + 1, rtol=1e-6, atol=1e-6)
    assert expected_error(w, moments, subset) < 1e-9 * expected_error(
        w, moments, reconstructed(w, moments, torch.arange(11), ridge=1e-9)
    )


def test_the_expected_error_is_the_mean_square_over_the_rows():
    h, w, moments = problem()
    fitted = reconstructed(w, moments, torch.tensor([2, 7, 8]), ridge=0.5)
    subset = dataclasses.replace(fitted, bias_shift=fitted.bias_shift + 3)
    residual = h @ w.T - h[:, subset.indices] @ subset.weights.T - subset.bias_shift
    assert expected_error(w, moments, subset) == pytest.approx(
        float(residual.square().sum(1).mean())
    )


def test_the_ridge_is_a_share_of_the_mean_variance():
    assert ridge_of(torch.diag(torch.tensor([1.0, 3.0])), 0.5) == 1.0
    assert ridge_of(torch.zeros(2, 2), 0.5) == 0.5


def test_types_and_moments_are_as_given():
    _, w, moments = problem()
    before = moments.covariance.clone()
    subset = reconstructed(w.float(), moments, torch.tensor([0, 1]), ridge=1e-3)
    assert subset.weights.dtype == torch.float32
    assert torch.equal(moments.covariance, before)
    assert isinstance(moments, Moments)


def test_the_ridge_grows_until_the_factorisation_succeeds():
    covariance = torch.ones(6, 6).double() - 2e-4 * torch.eye(6)  # eigenvalues −2e-4 and 6 − 2e-4
    factor, ridge = factored(covariance, 1e-6)
    assert ridge == pytest.approx(1e-3)
    torch.testing.assert_close(factor @ factor.T, covariance + ridge * torch.eye(6))
    _, w, _ = problem(n=7)
    moments = Moments(mean=torch.zeros(7).double(), covariance=torch.zeros(7, 7).double())
    moments.covariance[:6, :6] = covariance
    assert reconstructed(w, moments, torch.arange(6), ridge=1e-6).ridge == ridge


@pytest.mark.parametrize(
    ("covariance", "ridge", "message"),
    [
        (torch.eye(2), 0.0, r"^ridge must be positive, got 0\.0"),
        (torch.eye(2), float("nan"), r"^ridge must be positive, got nan"),
        (torch.full((2, 2), float("nan")), 1.0, "^covariance must be finite"),
        (torch.full((2, 2), float("inf")), 1.0, "^covariance must be finite"),
    ],
)
def test_what_no_ridge_can_help_is_refused(covariance, ridge, message):
    with pytest.raises(ArgumentError, match=message):
        factored(covariance.double(), ridge)


def test_a_positive_definite_matrix_keeps_its_ridge_and_its_entries():
    _, _, moments = problem()
    before = moments.covariance.clone()
    factor, ridge = factored(moments.covariance, 1e-3)
    assert ridge == 1e-3
    assert torch.equal(moments.covariance, before)
    torch.testing.assert_close(
        inverse_of(factor), torch.linalg.inv(before + ridge * torch.eye(12)), rtol=1e-6, atol=0
    )


SPECTRA = {
    "one": torch.ones(1),
    "small": torch.tensor([1e-6, 1e-3, 1.0]),
    "flat": torch.ones(300),
    "even": torch.linspace(1e-4, 1, 300),
    "steep": torch.logspace(-9, 0, 300),
    "many small": torch.cat([torch.full((290,), 1e-6), torch.linspace(0.1, 1, 10)]),
    "near the ends": torch.cat([torch.linspace(1e-6, 2e-6, 150), torch.linspace(0.5, 1, 150)]),
}


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_the_condition_number_is_right_to_a_tenth_and_never_above(spectrum):
    n = len(spectrum)
    generator = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    matrix = (basis * spectrum.double()) @ basis.T
    expected = float(spectrum.double().max() / spectrum.double().min())
    found = condition_number(torch.linalg.cholesky((matrix + matrix.T) / 2))
    assert 0.9 * expected <= found <= expected * (1 + 1e-6)


def test_the_condition_number_is_that_of_the_system_solved():
    _, w, moments = problem()
    indices = torch.tensor([0, 3, 4])
    subset = reconstructed(w, moments, indices, ridge=0.5)
    solved = moments.covariance[indices][:, indices] + 0.5 * torch.eye(3)
    assert subset.ridge == 0.5
    assert subset.condition_number == pytest.approx(float(torch.linalg.cond(solved)))


def test_what_a_reader_lacks_is_explained_as_by_least_squares():
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(500, 5, dtype=torch.float64, generator=generator) + 3
    r = h @ torch.randn(5, 2, dtype=torch.float64, generator=generator) + 0.1
    r += torch.randn(500, 2, dtype=torch.float64, generator=generator)
    sums, cross = MomentSum(), CrossSum()
    sums.add(h)
    cross.add(r, h)
    found = refitted(cross.covariance(), sums.moments())
    centred = h - h.mean(0)
    expected = torch.linalg.lstsq(centred, r - r.mean(0)).solution.T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_nothing_lacking_changes_nothing():
    moments = Moments(mean=torch.ones(4).double(), covariance=torch.eye(4).double())
    assert not refitted(torch.zeros(3, 4).double(), moments).any()


def test_neurons_that_never_vary_explain_nothing():
    moments = Moments(mean=torch.ones(4).double(), covariance=torch.zeros(4, 4).double())
    assert not refitted(torch.zeros(3, 4).double(), moments).any()


@pytest.mark.parametrize("n", [1, 5, 512, 513, 1100])
def test_an_inverse_by_panels_is_the_inverse_in_the_same_memory(n):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = root @ root.T / n + torch.eye(n, dtype=torch.float64)
    factor, _ = factored(matrix, 1e-9)
    place = factor.data_ptr()
    found = inverse_of(factor)
    assert found.is_contiguous()
    assert found.data_ptr() == place
    torch.testing.assert_close(found @ matrix, torch.eye(n).double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(found, found.T, rtol=0, atol=1e-14)
