"""Swaps of channels: against every pair by definition."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ridged import block_error, block_view, problem

from coreprune.core.reconstruction import ridge_of
from coreprune.core.selection.block_paths import backward_blocks
from coreprune.core.selection.block_swaps import swapped_blocks
from coreprune.core.selection.swaps import swapped

VIEWS = {
    "one tap": [block_view(5, 1, seed=3)],
    "two taps": [block_view(5, 2, seed=4)],
    "three taps": [block_view(5, 3, k=1, seed=5)],
    "more outputs than columns": [block_view(5, 2, k=30)],
    "two readers": [block_view(5, 3, seed=6), block_view(5, 2, seed=7, ridge=1e-2)],
}


def best_pair(views, kept, n):
    """The error after the best exchange by definition, and the channels."""
    trials = [sorted({*kept} - {i} | {t}) for i in kept for t in range(n) if t not in kept]
    return min((block_error(views, trial), trial) for trial in trials)


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
def test_from_every_subset_the_exchange_is_the_best_of_all_pairs(views):
    moved = 0
    for m in range(1, 5):
        for kept in map(list, itertools.combinations(range(5), m)):
            error, trial = best_pair(views, kept, 5)
            better = error < block_error(views, kept)
            found = swapped_blocks(views, torch.tensor(kept), least_gain=0, most=1)
            assert found.tolist() == (trial if better else kept)
            moved += better
    assert moved > 10


@pytest.mark.parametrize("taps", [(2,), (3, 1)])
def test_one_exchange_after_the_other_is_the_best_of_all_pairs(taps):
    views = [block_view(9, t, seed=10 + t) for t in taps]
    kept = worst = max(
        map(list, itertools.combinations(range(9), 4)), key=lambda s: block_error(views, s)
    )
    for exchanges in range(8):
        found = swapped_blocks(views, torch.tensor(worst), least_gain=0, most=exchanges)
        assert found.tolist() == kept
        error, trial = best_pair(views, kept, 9)
        if error >= block_error(views, kept):
            break
        kept = trial
    assert exchanges > 1


def test_of_few_candidates_those_are_tried_that_would_help_most():
    views, kept = [block_view(9, 2, seed=5)], [0, 1, 2]
    gains = {t: -block_error(views, [*kept, t]) for t in range(3, 9)}
    first = max(gains, key=gains.get)
    error, trial = min(
        (block_error(views, s), s) for s in (sorted({*kept, first} - {i}) for i in kept)
    )
    assert error < block_error(views, kept)
    assert trial != best_pair(views, kept, 9)[1]
    found = swapped_blocks(views, torch.tensor(kept), candidates=1, most=1, least_gain=0)
    assert found.tolist() == trial


def test_an_exchange_that_gains_too_little_is_not_made():
    views, kept = [block_view(9, 2, seed=3)], torch.arange(4)
    gain = 1 - best_pair(views, kept.tolist(), 9)[0] / block_error(views, kept.tolist())
    assert swapped_blocks(views, kept, least_gain=1.01 * gain).tolist() == [0, 1, 2, 3]
    assert swapped_blocks(views, kept, least_gain=0.99 * gain).tolist() != [0, 1, 2, 3]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    taps=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    n=st.integers(2, 10),
    data=st.data(),
    seed=st.integers(0, 999),
)
def test_swaps_never_raise_the_error(taps, n, data, seed):
    views = [block_view(n, t, seed=seed + i) for i, t in enumerate(taps)]
    kept = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    found = swapped_blocks(views, torch.tensor(kept), least_gain=0)
    assert len(found) == len(kept)
    assert found.tolist() == sorted(set(found.tolist()))
    before, after = block_error(views, kept), block_error(views, found.tolist())
    assert after <= before * (1 + 1e-9)
    assert (found.tolist() == kept) or after < before


@pytest.mark.parametrize("kind", ["duplicates", "identical taps", "all constant"])
def test_near_singular_covariances_do_no_harm(kind):
    h = torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = {
        "duplicates": h.repeat(1, 4),
        "identical taps": h.repeat_interleave(4, 1),
        "all constant": torch.ones(200, 32).double(),
    }[kind]
    w, covariance = problem(32)[0], torch.cov(h.T)
    views = [(w, covariance, ridge_of(covariance), 4)]
    for m in (2, 5):
        kept = torch.arange(m)
        found = swapped_blocks(views, kept)
        assert block_error(views, found.tolist()) <= block_error(views, kept.tolist()) * (1 + 1e-9)


def test_one_tap_is_a_neuron():
    views = [(*problem(40, seed=1), 1e-4), (*problem(40, k=60, seed=2), 1e-3)]
    kept = torch.arange(12)
    found = swapped_blocks([(*view, 1) for view in views], kept, candidates=28)
    assert torch.equal(found, swapped(views, kept))
    assert not torch.equal(found, kept)


def test_after_backward_elimination_swaps_sometimes_help():
    gains = []
    for seed in range(8):
        views = [block_view(24, 3, k=2, seed=seed, ridge=1e-4)]
        kept = backward_blocks(views).order[18:].sort().values
        found = swapped_blocks(views, kept)
        gains.append(1 - block_error(views, found.tolist()) / block_error(views, kept.tolist()))
    assert min(gains) >= 0
    assert sum(gain > 1e-3 for gain in gains) >= 2


def test_all_channels_and_their_order_are_no_matter():
    views = [block_view(6, 2)]
    assert swapped_blocks(views, torch.tensor([3, 1, 0, 2, 5, 4])).tolist() == [*range(6)]
    assert torch.equal(
        swapped_blocks(views, torch.tensor([4, 1])), swapped_blocks(views, torch.tensor([1, 4]))
    )


def test_the_inputs_are_left_alone():
    w, covariance, ridge, taps = block_view(9, 2)
    indices = torch.tensor([8, 2, 4])
    before = w.clone(), covariance.clone(), indices.clone()
    swapped_blocks([(w, covariance, ridge, taps)], indices)
    for now, then in zip((w, covariance, indices), before, strict=True):
        assert torch.equal(now, then)
