import pytest
import torch

from coreprune import ArgumentError, DeadLeaves


def made(shape, seed=0, **law):
    return DeadLeaves(**law).sample(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 20), (5, 3, 20, 12), (5, 1, 6, 7, 8)])
def test_pictures_of_any_number_of_axes_come_as_asked(shape):
    x = made(shape)
    assert x.shape == shape
    assert x.dtype == torch.float32
    assert x.isfinite().all()


def test_mean_and_deviation_are_as_told():
    """A pixel is normal; five standard errors of 4,000 are 0.16 and 0.11."""
    x = made((4000, 1, 8, 8), deviation=2.0, mean=3.0, colour=1.0)[:, :, 0, 0]
    assert x.mean().item() == pytest.approx(3.0, abs=0.16)
    assert x.std().item() == pytest.approx(2.0, abs=0.115)


@pytest.mark.parametrize("colour", [0.0, 0.3, 10.0])
def test_channels_are_correlated_as_told(colour):
    x = made((3000, 3, 4, 4), colour=colour)[:, :, 0, 0]
    expected = 1 / (1 + colour**2)
    assert torch.corrcoef(x.T)[0, 1].item() == pytest.approx(expected, abs=0.1)


def test_pictures_are_flat_with_edges():
    """Most neighbours are equal, which smooth noise never is, and far pixels differ."""
    x = made((100, 1, 32, 32))
    flat = (x[..., 1:] == x[..., :-1]).float().mean()
    assert 0.7 < flat < 0.99
    assert (x[..., 0] == x[..., -1]).float().mean() < 0.3
    assert len(x[0].unique()) > 10


def test_shapes_grow_with_the_picture():
    flat = [
        (x[..., 1:] == x[..., :-1]).float().mean()
        for x in map(made, [(50, 1, 16, 16), (50, 1, 64, 64)])
    ]
    assert (1 - flat[0]) / (1 - flat[1]) > 2


def test_pictures_differ_and_the_generator_decides():
    first, again, other = (made((4, 3, 8, 8), seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    edges = first[..., 1:] != first[..., :-1]
    assert not torch.equal(edges[0], edges[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"deviation": 0}, "deviation must be positive"),
        ({"mean": float("nan")}, "mean must be finite, got nan"),
        ({"mean": "x"}, "mean must be finite"),
        ({"colour": -0.1}, "colour must be finite and at least 0, got -0.1"),
        ({"colour": float("inf")}, "colour must be finite"),
    ],
)
def test_bad_numbers_are_named(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        DeadLeaves(**arguments)


def test_words_tell_the_size():
    assert DeadLeaves(2.0).words.endswith("of deviation 2")
    assert DeadLeaves(2.0, mean=0.5).words.endswith("of deviation 2 and mean 0.5")
