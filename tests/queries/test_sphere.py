import pytest
import torch

from coreprune import ArgumentError, Sphere


@pytest.mark.parametrize("shape", [(50, 7), (50, 2, 3), (50, 1)])
def test_samples_have_one_norm(shape):
    x = Sphere(2.5).sample(shape, generator=torch.Generator().manual_seed(0))
    assert x.shape == shape
    torch.testing.assert_close(x.flatten(1).norm(dim=1), torch.full((50,), 2.5))


def test_the_covariance_is_round():
    """β² / d on the diagonal: 20,000 rows, five standard errors are below 0.03."""
    x = Sphere(2.0).sample((20_000, 4), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.T.cov(), torch.eye(4), atol=0.03, rtol=0)


def test_the_generator_decides():
    first, again, other = (
        Sphere(1.0).sample((3, 4), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("radius", [0, -1.0, float("inf"), float("nan"), "1", None])
def test_radius_must_be_positive_and_finite(radius):
    with pytest.raises(ArgumentError, match="radius must be positive and finite, got"):
        Sphere(radius)


def test_words_tell_the_radius():
    assert Sphere(3.0).words == "inputs uniform on the sphere of radius 3"
