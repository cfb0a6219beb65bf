"""Swaps: against every pair by definition."""

import itertools

import pytest
import torch
from ridged import problem, ridged_error

from coreprune.core.selection import swaps
from coreprune.core.selection.backward import backward
from coreprune.core.selection.swaps import swapped


def total(views, kept):
    return sum(ridged_error(w, covariance, sorted(kept), ridge) for w, covariance, ridge in views)


def best_pair(views, kept, n):
    """The neurons after the best exchange by definition, and their error."""
    trials = [sorted({*kept} - {i} | {t}) for i in kept for t in range(n) if t not in kept]
    return min(((total(views, trial), trial) for trial in trials), key=lambda pair: pair[0])


VIEWS = {
    "one reader": [(*problem(9, seed=3), 1e-3)],
    "one output": [(*problem(9, k=1, seed=4), 1e-6)],
    "two readers": [(*problem(9, seed=5), 1e-3), (*problem(9, k=2, seed=6), 1e-2)],
}


@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("chunk", [1, 2**18])
def test_every_exchange_is_the_best_of_all_pairs(monkeypatch, views, chunk):
    monkeypatch.setattr(swaps, "_CHUNK", chunk)
    kept = worst = max(
        map(list, itertools.combinations(range(9), 4)), key=lambda s: total(views, s)
    )
    for exchanges in range(6):
        assert swapped(views, torch.tensor(worst), least_gain=0, most=exchanges).tolist() == kept
        error, trial = best_pair(views, kept, 9)
        if error >= total(views, kept):
            break
        kept = trial
    assert exchanges > 1


def test_it_stops_where_no_exchange_helps():
    views = [(*problem(9, seed=3), 1e-3)]
    kept = swapped(views, torch.arange(4), least_gain=0).tolist()
    assert best_pair(views, kept, 9)[0] >= total(views, kept)


def test_an_exchange_that_gains_too_little_is_not_made():
    views = [(*problem(9, seed=3), 1e-3)]
    before = total(views, [0, 1, 2, 3])
    gain = 1 - best_pair(views, [0, 1, 2, 3], 9)[0] / before
    assert swapped(views, torch.arange(4), least_gain=1.01 * gain).tolist() == [0, 1, 2, 3]
    assert swapped(views, torch.arange(4), least_gain=0.99 * gain).tolist() != [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_after_backward_elimination_the_error_only_falls(seed):
    w, covariance = problem(60, seed=seed)
    kept = backward(w, covariance, ridge=1e-4).order[45:].sort().values
    better = swapped([(w, covariance, 1e-4)], kept)
    before, after = (ridged_error(w, covariance, s, 1e-4) for s in (kept, better))
    assert after <= before
    assert torch.equal(better, kept) == (after == before)


def test_all_neurons_and_their_order_are_no_matter():
    w, covariance = problem(6)
    assert swapped([(w, covariance, 1e-4)], torch.tensor([3, 1, 0, 2, 5, 4])).tolist() == [
        *range(6)
    ]
    assert torch.equal(
        swapped([(w, covariance, 1e-4)], torch.tensor([4, 1])),
        swapped([(w, covariance, 1e-4)], torch.tensor([1, 4])),
    )


def test_the_inputs_are_left_alone():
    w, covariance = problem(20)
    indices = torch.tensor([9, 2, 4])
    before = w.clone(), covariance.clone(), indices.clone()
    swapped([(w, covariance, 1e-3)], indices)
    for now, then in zip((w, covariance, indices), before, strict=True):
        assert torch.equal(now, then)
