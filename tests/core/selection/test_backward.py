"""Backward elimination: against the definition, step by step."""

import pytest
import torch
from ridged import problem, ridged_error

from coreprune.core.selection.backward import backward, backward_shared


@pytest.mark.parametrize("n", [2, 9, 150])
def test_errors_are_those_of_the_optimal_weights_at_every_size(n):
    w, covariance = problem(n)
    path = backward(w, covariance, ridge=1e-3)
    assert sorted(path.order.tolist()) == list(range(n))
    for gone in {0, 1, n // 2, n - 1}:
        kept = path.order[gone:].sort().values
        expected = ridged_error(w, covariance, kept, 1e-3)
        assert float(path.errors[gone]) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_every_step_is_the_cheapest_one():
    w, covariance = problem(9)
    path = backward(w, covariance, ridge=1e-3)
    left = list(range(9))
    for gone in path.order[:-1].tolist():
        prices = {
            j: ridged_error(w, covariance, torch.tensor([i for i in left if i != j]), 1e-3)
            for j in left
        }
        assert min(prices, key=prices.get) == gone
        left.remove(gone)


def test_dead_and_duplicate_neurons_go_first_and_cost_nothing():
    w, covariance = problem(8)
    covariance[5], covariance[:, 5] = covariance[2], covariance[:, 2]
    covariance[6] = covariance[:, 6] = 0
    w[:, 6] = 0
    path = backward(w, covariance, ridge=1e-9)
    assert path.order[0] == 6
    assert int(path.order[1]) in {2, 5}
    assert float(path.errors[2]) < 1e-6 * float(path.errors[3])


def test_ties_go_to_the_lower_index():
    path = backward(torch.ones(1, 4), torch.eye(4, dtype=torch.float64), ridge=1e-6)
    assert path.order.tolist() == [0, 1, 2, 3]


def test_errors_never_fall():
    path = backward(*problem(130), ridge=1e-6)
    assert (path.errors.diff() >= 0).all()


def test_readers_in_one_view_or_in_several_give_the_same_path():
    w, covariance = problem(20, k=5)
    together = backward(w, covariance, ridge=1e-4)
    apart = backward_shared([(w[:2], covariance, 1e-4), (w[2:], covariance, 1e-4)])
    assert torch.equal(apart.order, together.order)
    torch.testing.assert_close(apart.errors, together.errors)


def test_readers_with_functions_of_their_own_share_one_order():
    first, second = problem(10, seed=1), problem(10, seed=2)
    path = backward_shared([(*first, 1e-3), (*second, 1e-3)])
    kept = path.order[4:].sort().values
    total = sum(ridged_error(w, covariance, kept, 1e-3) for w, covariance in (first, second))
    assert float(path.errors[4]) == pytest.approx(total, rel=1e-8)


def test_the_inputs_are_left_alone():
    w, covariance = problem(70)
    before = w.clone(), covariance.clone()
    backward(w, covariance, ridge=1e-3)
    assert torch.equal(w, before[0])
    assert torch.equal(covariance, before[1])


@pytest.mark.parametrize("num_neurons", [1, 7, 69, 70])
def test_a_path_that_stops_early_is_the_start_of_the_whole_one(num_neurons):
    w, covariance = problem(70)
    whole = backward(w, covariance, ridge=1e-3)
    part = backward(w, covariance, ridge=1e-3, num_neurons=num_neurons)
    gone = 70 - num_neurons
    assert torch.equal(part.order[:gone], whole.order[:gone])
    assert sorted(part.order.tolist()) == list(range(70))
    torch.testing.assert_close(part.errors[: gone + 1], whole.errors[: gone + 1])
    assert part.errors[gone + 1 :].isnan().all()


def test_of_twins_the_lower_index_goes_first():
    w, covariance = problem(200)
    twin = torch.arange(200) % 100
    path = backward(w[:, twin], covariance[twin][:, twin], ridge=1e-6)
    rank = path.order.argsort()
    assert (rank[:100] < rank[100:]).all()
