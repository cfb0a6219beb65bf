import math

import pytest
import torch
from networks import draw, mlp

from coreprune import ArgumentError, Box, prune

PIXELS = Box.of_images([0.5, 0.4, 0.3], [0.25, 0.2, 0.1])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        (Box(-1.0, 2.0), (500, 7)),
        (Box(-0.1, 0.3), (500, 7)),
        (Box(torch.arange(7.0), torch.arange(7.0) + 0.5), (500, 7)),
        (Box(-1, 1, mean=0.5, spread=3.0), (500, 7)),
        (PIXELS, (50, 3, 8, 8)),
    ],
    ids=["uniform", "bounds that round", "by feature", "clipped", "images"],
)
def test_samples_lie_in_the_box(box, shape):
    x = box.sample(shape, generator=seeded())
    low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in (box.low, box.high))
    assert x.shape == shape
    assert x.dtype == torch.float32
    assert (x >= low).all()
    assert (x <= high).all()
    assert (x.flatten(1).norm(dim=1) <= box.radius(shape[1:]) * (1 + 1e-6)).all()


def test_uniform_features_have_the_moments_of_their_intervals():
    """20,000 rows: five standard errors of mean and variance."""
    low, high = torch.tensor([-1.0, 0.0, 5.0]), torch.tensor([2.0, 0.5, 6.0])
    x = Box(low, high).sample((20_000, 3), generator=seeded())
    width = high - low
    assert ((x.mean(0) - (low + high) / 2).abs() < 5 * width / math.sqrt(12 * 20_000)).all()
    torch.testing.assert_close(x.var(0), width**2 / 12, rtol=0.05, atol=0)
    assert float(x.T.corrcoef().fill_diagonal_(0).abs().max()) < 5 / math.sqrt(20_000)


def test_normal_features_keep_mean_and_spread_where_the_box_is_wide():
    x = Box(-100.0, 100.0, mean=[1.0, -2.0], spread=[0.5, 3.0]).sample(
        (20_000, 2), generator=seeded()
    )
    torch.testing.assert_close(x.mean(0), torch.tensor([1.0, -2.0]), rtol=0.05, atol=0.05)
    torch.testing.assert_close(x.std(0), torch.tensor([0.5, 3.0]), rtol=0.05, atol=0)


def test_images_are_pixels_after_their_normalisation():
    low, high = PIXELS.low.flatten(), PIXELS.high.flatten()
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.1])
    torch.testing.assert_close(low * std + mean, torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(high * std + mean, torch.ones(3))


def test_the_radius_is_that_of_the_farthest_corner():
    assert Box(-3.0, 1.0).radius((4,)) == pytest.approx(6.0)
    by_channel = Box(torch.zeros(2, 1, 1), torch.tensor([1.0, 2.0])[:, None, None])
    assert by_channel.radius((2, 3, 3)) == pytest.approx(math.sqrt(9 * 1 + 9 * 4))


def test_the_generator_decides():
    for box in (Box(0.0, 1.0), Box(0.0, 1.0, mean=0.5, spread=0.1)):
        first, again, other = (box.sample((3, 4), generator=seeded(seed)) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1.0, "high": 1.0}, "low must be below high"),
        ({"low": [0.0, 2.0], "high": [1.0, 1.0]}, "low must be below high"),
        ({"low": float("nan"), "high": 1.0}, "low must be finite"),
        ({"low": 0.0, "high": float("inf")}, "high must be finite"),
        ({"low": 0.0, "high": 1.0, "mean": 0.0}, "come together"),
        ({"low": 0.0, "high": 1.0, "spread": 1.0}, "come together"),
        ({"low": 0.0, "high": 1.0, "mean": 0.0, "spread": 0.0}, "spread must be positive"),
        ({"low": 0.0, "high": 1.0, "mean": float("nan"), "spread": 1.0}, "mean must be finite"),
        ({"low": "0", "high": 1.0}, "low must be a number or a tensor, got '0'"),
        ({"low": [0.0, 0.0], "high": [1.0] * 3}, r"must broadcast, got \(2,\) and \(3,\)"),
    ],
)
def test_bad_bounds_are_named(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        Box(**arguments)


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (0.5, 0.2, "mean must hold one number a channel, got 0.5"),
        ([0.5], [0.2, 0.2], "std must hold one number a channel"),
        ([0.5], [0.0], "std must be positive"),
    ],
)
def test_bad_channels_are_named(mean, std, words):
    with pytest.raises(ArgumentError, match=words):
        Box.of_images(mean, std)


@pytest.mark.parametrize(
    ("box", "name"),
    [
        (Box(torch.zeros(5), 1.0), "low"),
        (Box(0.0, torch.ones(2, 6)), "high"),
        (Box(0.0, 1.0, mean=torch.zeros(4), spread=1.0), "mean"),
        (Box(0.0, 1.0, mean=0.0, spread=torch.ones(3)), "spread"),
    ],
)
def test_what_does_not_broadcast_is_refused_by_name(box, name):
    words = rf"{name} has shape .* does not broadcast against an input of shape \(6,\)"
    with pytest.raises(ArgumentError, match=words):
        box.sample((4, 6), generator=seeded())
    with pytest.raises(ArgumentError, match=words):
        box.radius((6,))


def test_a_box_of_another_shape_is_refused_before_anything_is_cut():
    with pytest.raises(ArgumentError, match="low has shape"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=Box(torch.zeros(5), 1.0))


def test_words_tell_kind_and_bounds():
    assert Box(-1.0, 2.0).words == "independent inputs, uniform in the box from -1 to 2"
    assert "normal and clipped in the box from -3…-2 to 2…7" in PIXELS.words
