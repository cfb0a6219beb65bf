import itertools
import math

import pytest
import torch

from coreprune import ArgumentError, Impressions
from coreprune.queries.impressions import _Shape

POINTS = torch.randn(5, 4, generator=torch.Generator().manual_seed(9))


def made(law, *shape, points=POINTS, conviction=None, seed=0):
    return law.sample(
        shape,
        points=points,
        conviction=conviction,
        generator=torch.Generator().manual_seed(seed),
    )


def along(direction):
    """A conviction that is the same for x and −x."""
    return lambda x: (x.flatten(1) @ direction).square()


def covariance(points, isotropic):
    gram = points.double().T @ points.double()
    return (1 - isotropic) * gram / gram.diagonal().mean() + isotropic * torch.eye(4).double()


@pytest.mark.parametrize("isotropic", [0.0, 0.2, 1.0])
def test_noise_has_the_covariance_of_the_first_layer(isotropic):
    """100,000 rows: five standard errors of a second moment near 1 are about 0.03."""
    law = Impressions(deviation=2.0, steps=0, isotropic=isotropic)
    x = made(law, 100_000, 4).double()
    second = x.T @ x / len(x)
    torch.testing.assert_close(second, 4 * covariance(POINTS, isotropic), atol=0.25, rtol=0)
    torch.testing.assert_close(x.mean(0), torch.zeros(4).double(), atol=0.05, rtol=0)


@pytest.mark.parametrize("isotropic", [0.0, 0.2, 1.0])
def test_the_covariance_is_applied_without_being_formed(isotropic):
    shape, rows = _Shape(POINTS, isotropic), torch.randn(7, 2, 2)
    expected = (rows.flatten(1).double() @ covariance(POINTS, isotropic)).view(7, 2, 2)
    torch.testing.assert_close(shape.applied(rows).double(), expected, rtol=1e-4, atol=1e-5)


def test_the_covariance_of_wide_inputs_takes_no_square_of_memory():
    """Formed, it would hold 10¹² numbers."""
    points = torch.ones(2, 1_000_000) / 1000
    x = made(Impressions(steps=1), 2, 1_000_000, points=points, conviction=lambda q: q.sum(1))
    assert x.isfinite().all()


@pytest.mark.parametrize("points", [None, torch.zeros(5, 4)], ids=["none", "zeros"])
def test_without_weights_noise_is_isotropic(points):
    x = made(Impressions(steps=0), 50_000, 4, points=points)
    torch.testing.assert_close(x.T @ x / len(x), torch.eye(4), atol=0.08, rtol=0)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("shape", [(64, 4), (64, 2, 2)])
def test_steps_change_directions_and_keep_norms(shape, nonnegative):
    law = {"deviation": 3.0, "nonnegative": nonnegative}
    still = made(Impressions(steps=0, **law), *shape)
    moved = made(
        Impressions(steps=5, **law), *shape, conviction=along(torch.tensor([1.0, 2.0, 0.0, -1.0]))
    )
    norms = [x.flatten(1).norm(dim=1) for x in (still, moved)]
    torch.testing.assert_close(*norms, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(still, moved, atol=0.1)


def test_the_root_mean_square_is_the_deviation():
    """Before ξ exactly; with ξ² of mean 1 and variance 2, five standard errors of 20,000 rows."""
    x = made(Impressions(deviation=3.0, steps=0), 20_000, 4)
    assert float(x.square().mean()) == pytest.approx(9.0, rel=5 * math.sqrt(4 / 20_000))


def test_every_other_query_has_one_sign():
    law = Impressions(nonnegative=True)
    x = made(law, 200, 4, conviction=along(torch.tensor([1.0, -2.0, 0.0, 1.0])))
    one = ((x >= 0).all(1) | (x <= 0).all(1)).tolist()
    assert all(one[::2])
    assert not all(one[1::2])
    free = made(Impressions(), 200, 4, conviction=along(torch.tensor([1.0, -2.0, 0.0, 1.0])))
    assert not all(((free >= 0).all(1) | (free <= 0).all(1)).tolist()[::2])


@pytest.mark.parametrize("nonnegative", [False, True])
def test_conviction_rises_with_steps(nonnegative):
    conviction = along(torch.tensor([1.0, 2.0, 0.0, 1.0]))
    levels = [
        conviction(
            made(
                Impressions(steps=steps, isotropic=1.0, nonnegative=nonnegative),
                400,
                4,
                conviction=conviction,
            )
        )
        for steps in (0, 1, 3, 9)
    ]
    for before, after in itertools.pairwise(levels):
        assert after.mean() > 1.05 * before.mean()
        assert (after >= before * (1 - 1e-4) - 1e-6).all()


def test_a_flat_conviction_moves_nothing():
    """Its gradient is zero: no step has a direction."""
    still = made(Impressions(steps=0), 20, 4)
    moved = made(Impressions(steps=5), 20, 4, conviction=lambda x: (x * 0).sum(1))
    torch.testing.assert_close(still, moved)


def test_a_conviction_of_nan_moves_nothing():
    moved = made(Impressions(steps=2), 20, 4, conviction=lambda x: (x * torch.nan).sum(1))
    torch.testing.assert_close(made(Impressions(steps=0), 20, 4), moved)


def test_without_gradients_around_it_the_steps_are_taken_all_the_same():
    conviction = along(torch.ones(4))
    free = made(Impressions(), 20, 4, conviction=conviction)
    with torch.no_grad():
        held = made(Impressions(), 20, 4, conviction=conviction)
    assert torch.equal(free, held)
    assert not free.requires_grad


def test_the_generator_decides():
    first, again, other = (
        made(Impressions(), 6, 4, conviction=along(torch.ones(4)), seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"deviation": 0}, "deviation must be positive"),
        ({"deviation": float("nan")}, "deviation must be positive"),
        ({"deviation": "x"}, "deviation must be positive"),
        ({"steps": -1}, "steps must be a whole number"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"rate": 0.0}, r"rate must be in \(0, 1\)"),
        ({"rate": 1}, r"rate must be in \(0, 1\)"),
        ({"rate": "x"}, r"rate must be in \(0, 1\)"),
        ({"isotropic": 1.1}, r"isotropic in \[0, 1\]"),
        ({"isotropic": -0.1}, r"isotropic in \[0, 1\]"),
        ({"isotropic": None}, r"isotropic in \[0, 1\]"),
    ],
)
def test_bad_numbers_are_named(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        Impressions(**arguments)


def test_words_tell_deviation_steps_and_sign():
    words = Impressions(deviation=0.33, steps=7, nonnegative=True).words
    assert words.startswith("inputs of deviation 0.33 shaped by the first layer's weights")
    assert "moved 7 steps" in words
    assert "every other one not negative" in words
    assert "not negative" not in Impressions().words
