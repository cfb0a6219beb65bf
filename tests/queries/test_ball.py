import pytest
import torch

from coreprune import ArgumentError, Ball


@pytest.mark.parametrize("shape", [(50, 7), (50, 2, 3)])
def test_samples_lie_on_the_sphere(shape):
    samples = Ball(2.5).sample(shape, generator=torch.Generator().manual_seed(0))
    assert samples.shape == shape
    norms = samples.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((50,), 2.5))


def test_directions_have_no_preference():
    """Each mean entry has deviation 1 / sqrt(20000 · 4): 5 of them, 6e-7 an entry."""
    samples = Ball(1.0).sample((20_000, 4), generator=torch.Generator().manual_seed(0))
    assert (samples.mean(0).abs() < 5 / (20_000 * 4) ** 0.5).all()


def test_the_generator_decides():
    first, again, other = (
        Ball(1.0).sample((3, 4), generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("radius", [0, -1.0, float("inf"), float("nan"), "1", None])
def test_radius_must_be_positive_and_finite(radius):
    with pytest.raises(ArgumentError, match="radius must be positive and finite, got"):
        Ball(radius)
