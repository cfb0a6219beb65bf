import pytest
import torch

from coreprune import ArgumentError, BatchNormMatched, DeadLeaves
from coreprune.queries.batch_norm import ENOUGH, LEAST_SHARE, Statistics, mismatch

MEANS, VARIANCES = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.5, 4.0, 1.0])


def seen(x, mean=MEANS, variance=VARIANCES):
    spread, middle = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
    return [Statistics(mean=middle, variance=spread, known_mean=mean, known_variance=variance)]


def made(law, *shape, statistics=seen, seed=0, step=None):
    generator = torch.Generator().manual_seed(seed)
    return law.sample(shape, statistics=statistics, generator=generator, step=step)


@pytest.mark.parametrize("shape", [(32, 3), (8, 3, 4, 4)])
def test_a_batch_gets_the_means_and_variances_that_are_remembered(shape):
    x = made(BatchNormMatched(steps=200), *shape)
    assert mismatch(seen(x)) <= ENOUGH
    (layer,) = seen(x)
    torch.testing.assert_close(layer.mean, MEANS, atol=0.05, rtol=0)
    torch.testing.assert_close(layer.variance, VARIANCES, atol=0.15, rtol=0)
    assert x.dtype == torch.float32
    assert not x.requires_grad


def test_the_deviation_is_the_unit_of_the_input():
    """Inputs in units of a hundredth take the same way."""

    def hundredfold(x):
        return seen(x / 100)

    x = made(BatchNormMatched(steps=20), 8, 3, 4, 4)
    y = made(BatchNormMatched(steps=20, deviation=100.0), 8, 3, 4, 4, statistics=hundredfold)
    torch.testing.assert_close(y, 100 * x, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("shape", [(4, 3, 6), (4, 3, 6, 6)])
def test_inputs_with_axes_start_as_pictures(shape):
    x = made(BatchNormMatched(steps=0, deviation=2.0), *shape)
    assert torch.equal(x, DeadLeaves(2.0).sample(shape, generator=torch.Generator().manual_seed(0)))


def test_more_steps_come_nearer():
    losses = [
        mismatch(seen(made(BatchNormMatched(steps=steps), 8, 3, 4, 4))).item()
        for steps in (0, 10, 40, 160)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-3 * losses[0]


def test_the_mismatch_is_relative_to_what_is_remembered():
    """By hand: ((3−1)² + (√9−√4)²) / 4 and (0 + (1−2)²) / 4, averaged; layers are added."""
    layer = Statistics(
        mean=torch.tensor([3.0, 1.0]),
        variance=torch.tensor([9.0, 1.0]),
        known_mean=torch.tensor([1.0, 1.0]),
        known_variance=torch.tensor([4.0, 4.0]),
    )
    assert mismatch([layer]).item() == pytest.approx((5 / 4 + 1 / 4) / 2, rel=1e-3)
    assert mismatch([layer, layer]).item() == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("variances", [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_channels_that_never_changed_do_not_blow_up(variances):
    def statistics(x):
        return seen(x, variance=torch.tensor(variances))

    x = made(BatchNormMatched(steps=300), 16, 3, statistics=statistics)
    assert x.isfinite().all()
    torch.testing.assert_close(x.mean(0), MEANS, atol=0.05, rtol=0)
    if any(variances):
        (layer,) = seen(x)
        torch.testing.assert_close(layer.variance[1:], torch.ones(2), atol=0.05, rtol=0)


def test_a_channel_without_variance_counts_no_more_than_a_thousand_others():
    dead = torch.tensor([0.0, 1.0])
    layer = Statistics(
        mean=torch.tensor([1.0, 0.0]), variance=dead, known_mean=torch.zeros(2), known_variance=dead
    )
    assert mismatch([layer]).item() == pytest.approx(1 / LEAST_SHARE, rel=1e-2)


def test_a_constant_channel_has_a_finite_derivative():
    x = torch.zeros(4, 3, requires_grad=True)
    mismatch(seen(x)).backward()
    assert x.grad.isfinite().all()


def test_derivatives_that_are_no_numbers_move_nothing():
    def statistics(x):
        return seen(x * torch.nan)

    still, moved = (
        made(BatchNormMatched(steps=steps), 4, 3, statistics=statistics) for steps in (0, 3)
    )
    assert torch.equal(still, moved)


def test_without_gradients_around_it_the_steps_are_taken_all_the_same():
    free = made(BatchNormMatched(steps=5), 4, 3)
    with torch.no_grad():
        held = made(BatchNormMatched(steps=5), 4, 3)
    assert torch.equal(free, held)


def test_what_is_matched_takes_no_more_steps():
    told = []
    x = made(BatchNormMatched(steps=500), 8, 3, 4, 4, step=told.append)
    assert 10 < told[-1] < 400
    assert torch.equal(x, made(BatchNormMatched(steps=told[-1]), 8, 3, 4, 4))


def test_the_generator_decides():
    first, again, other = (made(BatchNormMatched(steps=3), 4, 3, seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_step_is_told():
    told = []
    made(BatchNormMatched(steps=4), 4, 3, step=told.append)
    assert told == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"examples": 1}, "examples must be a whole number of at least 2, got 1"),
        ({"examples": 2.5}, "examples must be a whole number"),
        ({"steps": -1}, "steps must be a whole number of at least 0"),
        ({"batch": 1}, "batch must be a whole number of at least 2"),
        ({"rate": 0.0}, "rate must be positive"),
        ({"rate": "x"}, "rate must be positive"),
        ({"deviation": -1.0}, "deviation must be positive"),
    ],
)
def test_bad_numbers_are_named(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        BatchNormMatched(**arguments)


def test_words_tell_how_many_and_how():
    words = BatchNormMatched(examples=64, steps=7).words
    assert words.startswith("64 inputs moved from random pictures in 7 steps at most")
