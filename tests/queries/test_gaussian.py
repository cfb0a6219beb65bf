import pytest
import torch

from coreprune import ArgumentError, Gaussian


def test_samples_have_the_moments_that_the_law_claims():
    """50,000 rows: five standard errors are 0.045 for the mean and 0.13 for a variance of 4."""
    law = Gaussian(2.0)
    x = law.sample((50_000, 3), generator=torch.Generator().manual_seed(0)).double()
    claimed = law.moments(3)
    torch.testing.assert_close(x.mean(0), claimed.mean, atol=0.045, rtol=0)
    torch.testing.assert_close(
        x.T.cov(), claimed.variance * torch.eye(3).double(), atol=0.13, rtol=0
    )


@pytest.mark.parametrize("shape", [(5, 7), (5, 2, 3, 4)])
def test_shapes_and_type_are_as_asked(shape):
    x = Gaussian().sample(shape, generator=torch.Generator().manual_seed(0))
    assert (tuple(x.shape), x.dtype) == (shape, torch.float32)


def test_the_generator_decides():
    first, again, other = (
        Gaussian().sample((3, 4), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("deviation", [0, -1.0, float("inf"), float("nan"), "1", None])
def test_deviation_must_be_positive_and_finite(deviation):
    with pytest.raises(ArgumentError, match="deviation must be positive and finite, got"):
        Gaussian(deviation)


def test_words_tell_the_deviation():
    assert Gaussian(0.5).words == "independent normal inputs of deviation 0.5"
