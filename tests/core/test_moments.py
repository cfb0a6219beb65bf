"""Moments under a Gaussian law: closed forms, sampling, and what must be exact."""

import math

import pytest
import torch

from coreprune.core import activations as family
from coreprune.core.elementwise import affine, compose, identity
from coreprune.core.moments import (
    CrossSum,
    Isotropic,
    Moments,
    MomentSum,
    activation_moments,
    affine_moments,
    hermite_coefficients,
    isotropic,
    matched,
    mixed,
    recovered_inputs,
    restricted,
    uncentred,
)
from coreprune.errors import ArgumentError

SAMPLES = 400_000
EVERY = [
    family.relu(),
    family.leaky_relu(-0.3),
    family.prelu(torch.tensor([-1.0, 0.2, 0.5, 1.0, 2.0])),
    family.relu6(),
    family.hardtanh(-0.5, 2.0),
    family.softplus(),
    family.softplus(5.0, 1.0),
    family.sigmoid(),
    family.tanh(),
    family.gelu(),
    family.gelu("tanh"),
    family.silu(),
    family.mish(),
    family.elu(2.0),
    family.celu(0.1),
    family.selu(),
    family.hardswish(),
    family.hardsigmoid(),
    family.step(),
    identity(),
    compose(affine(torch.tensor([1.0, -2.0, 0.1, 3.0, 1.0]), 0.5), family.relu6()),
]


def layer():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return points, torch.randn(5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("activation", EVERY, ids=lambda a: f"{a.name}-{EVERY.index(a)}")
def test_the_closed_form_agrees_with_sampling(activation):
    """Each entry within 6 standard errors: a false alarm in fewer than 1 of 10⁶ runs."""
    points, bias = layer()
    closed = activation_moments(affine_moments(points, bias, isotropic(3)), activation)
    x = torch.randn(SAMPLES, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    h = activation(x @ points.T + bias)
    error = h.std(0) / math.sqrt(SAMPLES)
    assert ((h.mean(0) - closed.mean).abs() <= 6 * error + 1e-12).all()
    centred = h - closed.mean
    for i in range(5):
        products = centred * centred[:, i : i + 1]
        slack = 6 * products.std(0) / math.sqrt(SAMPLES) + 2e-3 * h.var(0).sqrt() * h[:, i].std()
        assert ((products.mean(0) - closed.covariance[i]).abs() <= slack).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation", [family.relu(), family.sigmoid(), family.gelu()], ids=lambda a: a.name
)
def test_ten_million_streamed_samples_agree_to_their_sampling_error(activation):
    """Each entry within 6 standard errors, nothing allowed for the cut of the series."""
    (points, bias), batches, size = layer(), 20, 500_000
    closed = activation_moments(affine_moments(points, bias, isotropic(3)), activation)
    generator, total = torch.Generator().manual_seed(1), MomentSum()
    for _ in range(batches):
        x = torch.randn(size, 3, generator=generator, dtype=torch.float64)
        h = activation(x @ points.T + bias)
        total.add(h)
    centred = h - closed.mean
    products = centred[:, :, None] * centred[:, None, :]
    found, root = total.moments(), math.sqrt(batches * size)
    assert ((found.mean - closed.mean).abs() <= 6 * h.std(0) / root).all()
    assert ((found.covariance - closed.covariance).abs() <= 6 * products.std(0) / root).all()


def test_relu_coefficients_are_exact():
    mean = torch.tensor([-2.0, 0.0, 0.7, 5.0], dtype=torch.float64)
    deviation = torch.tensor([0.5, 1.0, 3.0, 1e-3], dtype=torch.float64)
    got, variance = hermite_coefficients(mean, deviation, family.relu(), order=3)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    alpha = -mean / deviation
    density, above = normal.log_prob(alpha).exp(), normal.cdf(-alpha)
    first = mean * above + deviation * density
    square = (mean**2 + deviation**2) * above + mean * deviation * density
    expected = torch.stack([
        first,
        deviation * above,
        deviation * density / math.sqrt(2),
        deviation * density * alpha / math.sqrt(6),
    ])  # fmt: skip
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(variance, square - first**2, rtol=1e-9, atol=1e-13)


def test_straight_lines_keep_the_covariance_exactly():
    points, bias = layer()
    z = affine_moments(points, bias, isotropic(3))
    h = activation_moments(z, affine(2.0, 1.0))
    torch.testing.assert_close(h.mean, 2 * z.mean + 1)
    torch.testing.assert_close(h.covariance, 4 * z.covariance)


def test_duplicates_stay_duplicates_and_the_diagonal_is_the_variance():
    points, bias = layer()
    points[3], bias[3] = points[1], bias[1]
    z = affine_moments(points, bias, isotropic(3))
    h = activation_moments(z, family.relu())
    _, variance = hermite_coefficients(z.mean, z.covariance.diagonal().sqrt(), family.relu())
    torch.testing.assert_close(h.covariance[1], h.covariance[3], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(h.covariance.diagonal(), variance)


def test_the_covariance_is_positive_semidefinite():
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    z = affine_moments(points, torch.zeros(60), isotropic(4))
    for activation in (family.relu(), family.step(), family.tanh()):
        values = torch.linalg.eigvalsh(activation_moments(z, activation).covariance)
        assert values.min() > -1e-12 * values.max()


def test_a_constant_neuron_has_no_variance():
    z = affine_moments(torch.zeros(2, 3), torch.tensor([1.0, -1.0]), isotropic(3))
    h = activation_moments(z, family.relu())
    assert h.mean.tolist() == [1.0, 0.0]
    assert not h.covariance.any()


def test_streamed_moments_are_those_of_all_rows_at_once():
    rows = torch.randn(500, 4, generator=torch.Generator().manual_seed(4)) * 3 + 1e4
    total = MomentSum()
    for batch in torch.split(rows, 77):
        total.add(batch)
    moments = total.moments()
    torch.testing.assert_close(moments.mean, rows.double().mean(0))
    torch.testing.assert_close(moments.covariance, rows.double().T.cov(correction=0))
    assert total.count == 500


def test_streams_take_any_leading_shape_and_refuse_nothing():
    total = MomentSum()
    with pytest.raises(ArgumentError, match="at least one row"):
        total.moments()
    total.add(torch.ones(2, 3, 4))
    assert total.count == 6


def test_restricting_and_uncentring():
    moments = Moments(
        mean=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
        covariance=torch.arange(9, dtype=torch.float64).view(3, 3),
    )
    part = restricted(moments, torch.tensor([0, 2]))
    assert part.mean.tolist() == [1.0, 3.0]
    assert part.covariance.tolist() == [[0.0, 2.0], [6.0, 8.0]]
    raw = uncentred(part)
    assert raw.mean.tolist() == [0.0, 0.0]
    assert raw.covariance.tolist() == [[1.0, 5.0], [9.0, 17.0]]


@pytest.mark.parametrize("rho", [-1.0, -0.9, -0.3, 0.0, 0.5, 0.95, 1.0])
def test_pairs_of_relus_follow_the_arc_cosine_kernel(rho):
    """E[φ(x)φ(y)] = (sin θ + (π − θ) cos θ) / 2π with cos θ = ρ (Cho & Saul 2009)."""
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    h = activation_moments(
        Moments(mean=torch.zeros(2).double(), covariance=covariance), family.relu()
    )
    theta = math.acos(rho)
    exact = (math.sin(theta) + (math.pi - theta) * rho) / (2 * math.pi) - 1 / (2 * math.pi)
    assert float(h.covariance[0, 1]) == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("shift", [-1.3, 0.0, 0.4])
def test_jumps_are_integrated_where_a_line_before_them_puts_them(shift):
    chain = compose(affine(2.0, 3.0 * shift), family.step())
    mean, deviation = torch.tensor([[0.2], [1.7]], dtype=torch.float64)
    got, variance = hermite_coefficients(mean, deviation, chain)
    above = 0.5 * math.erfc(((-1.5 * shift) - 0.2) / 1.7 / math.sqrt(2))
    assert float(got[0]) == pytest.approx(above, abs=1e-12)
    assert float(variance) == pytest.approx(above * (1 - above), abs=1e-12)


def test_matching_sets_mean_and_variance_and_keeps_correlations():
    points, bias = layer()
    z = affine_moments(points, bias, isotropic(3))
    variance = torch.arange(1.0, 6.0, dtype=torch.float64)
    got = matched(z, torch.ones(5).double(), variance)
    torch.testing.assert_close(got.covariance.diagonal(), variance)
    deviation, own = variance.sqrt(), z.covariance.diagonal().sqrt()
    torch.testing.assert_close(
        got.covariance / deviation / deviation[:, None], z.covariance / own / own[:, None]
    )
    assert got.mean.tolist() == [1.0] * 5


def test_inputs_are_recovered_from_what_a_layer_did_to_them():
    points, bias = layer()
    inputs = Isotropic(mean=torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64), variance=0.49)
    z = affine_moments(points, bias, inputs)
    got = recovered_inputs(points, bias, mean=z.mean, variance=z.covariance.diagonal())
    torch.testing.assert_close(got.mean, inputs.mean)
    assert got.variance == pytest.approx(inputs.variance)
    nothing = recovered_inputs(0 * points, bias, mean=z.mean, variance=z.covariance.diagonal())
    assert math.isfinite(nothing.variance)


def test_isotropic_inputs_give_what_their_covariance_gives():
    points, bias = layer()
    mean = torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64)
    full = Moments(mean=mean, covariance=0.49 * torch.eye(3, dtype=torch.float64))
    got = affine_moments(points, bias, Isotropic(mean=mean, variance=0.49))
    want = affine_moments(points, bias, full)
    torch.testing.assert_close((got.mean, got.covariance), (want.mean, want.covariance))


def test_inputs_of_many_entries_need_no_matrix_of_their_size():
    z = affine_moments(torch.ones(2, 10**6), torch.zeros(2), isotropic(10**6, 4.0))
    assert z.covariance.tolist() == [[4e6, 4e6], [4e6, 4e6]]


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_cross_sums_are_the_covariance_of_everything_added(offset):
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(300, 2, dtype=torch.float64, generator=generator) + offset
    right = torch.randn(300, 3, dtype=torch.float64, generator=generator) - 2 * offset
    right[:, 0] += left[:, 1]
    sums = CrossSum()
    for start, end in ((0, 1), (1, 100), (100, 300)):
        sums.add(left[start:end], right[start:end])
    expected = (left - left.mean(0)).T @ (right - right.mean(0)) / 300
    assert sums.count == 300
    torch.testing.assert_close(sums.mean(), left.mean(0))
    torch.testing.assert_close(sums.covariance(), expected, rtol=1e-8, atol=1e-8)


def test_cross_sums_take_rows_in_any_type():
    sums = CrossSum()
    sums.add(torch.ones(4, 2).half(), torch.ones(4, 3).half())
    assert sums.covariance().dtype == torch.float64
    assert torch.equal(sums.covariance(), torch.zeros(2, 3).double())


def test_a_mixture_has_the_moments_of_its_draws():
    """Three quarters of the rows from one set, a quarter from another."""
    generator = torch.Generator().manual_seed(0)
    one, other = (
        torch.randn(rows, 3, generator=generator, dtype=torch.float64) + shift
        for rows, shift in ((300, 0.0), (100, 2.0))
    )
    sums = [MomentSum() for _ in range(3)]
    for total, rows in zip(sums, (one, other, torch.cat([one, other])), strict=True):
        total.add(rows)
    first, second, both = (total.moments() for total in sums)
    found = mixed(first, second, 0.25)
    torch.testing.assert_close(found.mean, both.mean)
    torch.testing.assert_close(found.covariance, both.covariance)
