"""Paths of channels: against the definition, step by step."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ridged import block_error, block_view, problem

from coreprune.core.moments import MomentSum
from coreprune.core.reconstruction import ridge_of
from coreprune.core.selection.backward import backward_shared
from coreprune.core.selection.block_paths import backward_blocks, forward_blocks
from coreprune.core.selection.forward import forward_shared
from coreprune.core.taps import columns

VIEWS = {
    "one tap": [block_view(6, 1)],
    "two taps": [block_view(6, 2)],
    "three taps": [block_view(6, 3, k=1)],
    "more outputs than columns": [block_view(6, 2, k=30)],
    "two readers": [block_view(6, 3, seed=1), block_view(6, 1, seed=2, ridge=1e-2)],
    "three readers": [block_view(6, taps, seed=taps) for taps in (2, 3, 1)],
}


def empirical(h):
    total = MomentSum()
    total.add(h)
    return total.moments().covariance


def rows(count, *shape):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
def test_every_channel_that_goes_is_the_cheapest_and_costs_what_the_error_grows_by(views):
    path, left = backward_blocks(views), list(range(6))
    for step, gone in enumerate(path.order[:-1].tolist(), start=1):
        prices = {j: block_error(views, {*left} - {j}) for j in left}
        assert min(prices, key=prices.get) == gone
        assert float(path.errors[step]) == pytest.approx(prices[gone], rel=1e-9)
        left.remove(gone)
    assert path.errors[0] == 0
    assert left == path.order[-1:].tolist()


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
def test_every_channel_that_comes_helps_most_and_by_what_the_error_falls(views):
    path, kept = forward_blocks(views), []
    for m, added in enumerate(path.order.flip(0).tolist()[:-1], start=1):
        prices = {j: block_error(views, [*kept, j]) for j in range(6) if j not in kept}
        assert min(prices, key=prices.get) == added
        assert float(path.errors[6 - m]) == pytest.approx(prices[added], rel=1e-9)
        kept.append(added)
    assert path.errors[0] == 0


@pytest.mark.parametrize("blocks", [backward_blocks, forward_blocks])
@pytest.mark.parametrize("taps", [2, 3])
def test_no_subset_is_better_when_one_channel_goes_or_stays(blocks, taps):
    views = [block_view(5, taps)]
    errors = blocks(views).errors
    for m in (1, 4):
        best = min(block_error(views, s) for s in itertools.combinations(range(5), m))
        greedy_is_best = m == (4 if blocks is backward_blocks else 1)
        assert float(errors[5 - m]) >= best * (1 - 1e-9)
        assert not greedy_is_best or float(errors[5 - m]) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(
    ("blocks", "scalar"), [(backward_blocks, backward_shared), (forward_blocks, forward_shared)]
)
def test_one_tap_is_a_neuron(blocks, scalar):
    views = [(*problem(90, seed=1), 1e-4), (*problem(90, k=120, seed=2), 1e-3)]
    path, expected = blocks([(*view, 1) for view in views]), scalar(views)
    assert torch.equal(path.order, expected.order)
    torch.testing.assert_close(path.errors, expected.errors, rtol=1e-9, atol=1e-9)
    assert path.ridge == expected.ridge


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    taps=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    n=st.integers(1, 8),
    k=st.integers(1, 12),
    seed=st.integers(0, 999),
)
def test_paths_are_permutations_with_true_errors_that_never_fall(taps, n, k, seed):
    views = [block_view(n, t, k=k, seed=seed + i) for i, t in enumerate(taps)]
    for path in (backward_blocks(views), forward_blocks(views)):
        assert sorted(path.order.tolist()) == list(range(n))
        assert (path.errors.diff() >= 0).all()
        for gone in range(n):
            expected = block_error(views, path.order[gone:].tolist())
            assert float(path.errors[gone]) == pytest.approx(expected, rel=1e-7, abs=1e-9)


TAPS, CHANNELS = 4, 15
NEAR_SINGULAR = {
    "duplicates": empirical(rows(300, 5 * TAPS).repeat(1, 3)),
    "constant channels": empirical(rows(300, 60) * (torch.arange(60) // TAPS % 3 != 0) + 7),
    "all constant": empirical(torch.ones(50, 60).double()),
    "correlated taps": empirical(
        (rows(300, 15)[:, :, None] + 1e-4 * rows(300, 15, TAPS)).flatten(1)
    ),
    "identical taps": empirical(rows(300, 15).repeat_interleave(TAPS, 1)),
    "few queries": empirical(rows(10, 60)),
    "large and small": empirical(
        rows(300, 60) * torch.logspace(-6, 6, 15).double().repeat_interleave(TAPS)
    ),
}


@pytest.mark.parametrize("covariance", NEAR_SINGULAR.values(), ids=NEAR_SINGULAR)
@pytest.mark.parametrize("blocks", [backward_blocks, forward_blocks])
def test_the_running_error_is_true_where_the_covariance_is_near_singular(blocks, covariance):
    w = problem(60, k=20)[0]
    path = blocks([(w, covariance, ridge_of(covariance), TAPS)])
    views = [(w, covariance, path.ridge, TAPS)]
    nothing = float(((w @ covariance) * w).sum())
    for gone in (1, 5, 9, 14):
        expected = block_error(views, path.order[gone:].tolist())
        assert float(path.errors[gone]) == pytest.approx(
            expected, rel=1e-7, abs=max(1e-13 * nothing, 1e-12)
        )


def test_duplicates_and_dead_channels_go_first_and_cost_nothing():
    w, covariance = problem(8 * TAPS)
    fifth, second = (columns(torch.tensor([j]), TAPS) for j in (5, 2))
    covariance[fifth], covariance[:, fifth] = covariance[second], covariance[:, second]
    covariance[fifth[:, None], fifth] = covariance[second[:, None], second]
    sixth = columns(torch.tensor([6]), TAPS)
    covariance[sixth] = covariance[:, sixth] = 0
    w[:, sixth] = 0
    for blocks in (backward_blocks, forward_blocks):
        path = blocks([(w, covariance, 1e-8, TAPS)])
        assert {6} < set(path.order[:2].tolist()) < {2, 5, 6}
        assert float(path.errors[2]) < 1e-6 * float(path.errors[3])


def test_of_twins_the_lower_index_goes_first():
    w, covariance = problem(60, k=8)
    twin = columns(torch.arange(40) % 20, 3)
    path = backward_blocks([(w[:, twin], covariance[twin][:, twin], 1e-6, 3)])
    rank = path.order.argsort()
    assert (rank[:20] < rank[20:]).all()


@pytest.mark.parametrize("num_neurons", [1, 7, 39, 40])
def test_a_path_that_stops_early_is_the_start_of_the_whole_one(num_neurons):
    views = [block_view(40, 3)]
    whole, part = backward_blocks(views), backward_blocks(views, num_neurons=num_neurons)
    gone = 40 - num_neurons
    assert torch.equal(part.order[:gone], whole.order[:gone])
    assert sorted(part.order.tolist()) == list(range(40))
    torch.testing.assert_close(part.errors[: gone + 1], whole.errors[: gone + 1])
    assert part.errors[gone + 1 :].isnan().all()


@pytest.mark.parametrize("blocks", [backward_blocks, forward_blocks])
@pytest.mark.parametrize("k", [2, 100])
def test_the_inputs_are_left_alone(blocks, k):
    w, covariance, ridge, taps = block_view(20, 2, k=k)
    before = w.clone(), covariance.clone()
    blocks([(w, covariance, ridge, taps)])
    assert torch.equal(w, before[0])
    assert torch.equal(covariance, before[1])
