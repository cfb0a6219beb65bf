"""Forward selection: against the definition, step by step."""

import pytest
import torch
from ridged import problem, ridged_error

from coreprune.core.selection.forward import forward, forward_shared


@pytest.mark.parametrize("n", [1, 2, 9, 150])
def test_errors_are_those_of_the_optimal_weights_at_every_size(n):
    w, covariance = problem(n)
    path = forward(w, covariance, ridge=1e-3)
    assert sorted(path.order.tolist()) == list(range(n))
    for gone in {0, 1, n // 2, n - 1} & set(range(n)):
        kept = path.order[gone:].sort().values
        expected = ridged_error(w, covariance, kept, 1e-3)
        assert float(path.errors[gone]) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_every_neuron_added_is_the_one_that_helps_most():
    w, covariance = problem(9)
    path = forward(w, covariance, ridge=1e-3)
    kept = []
    for added in path.order.flip(0).tolist():
        errors = {
            j: ridged_error(w, covariance, sorted([*kept, j]), 1e-3)
            for j in range(9)
            if j not in kept
        }
        assert len(kept) == 8 or min(errors, key=errors.get) == added
        kept.append(added)


def test_one_neuron_that_says_it_all_is_added_first():
    covariance = torch.diag(torch.tensor([1.0, 9.0, 4.0]).double())
    path = forward(torch.tensor([[3.0, 2.0, 1.0]]), covariance, ridge=1e-12)
    assert path.order.tolist() == [2, 0, 1]  # w² K: 9, 36, 4
    assert path.errors.tolist() == pytest.approx([0, 4, 13])


def test_dead_neurons_and_second_twins_are_added_last():
    w, covariance = problem(8)
    covariance[5], covariance[:, 5] = covariance[2], covariance[:, 2]
    covariance[6] = covariance[:, 6] = 0
    w[:, 6] = 0
    path = forward(w, covariance, ridge=1e-6)
    assert set(path.order[:2].tolist()) == {5, 6}
    assert float(path.errors[2]) < 1e-4 * float(path.errors[3])


def test_ties_go_to_the_lower_index():
    path = forward(torch.ones(1, 4), torch.eye(4, dtype=torch.float64), ridge=1e-6)
    assert path.order.tolist() == [3, 2, 1, 0]


def test_errors_never_fall():
    path = forward(*problem(130), ridge=1e-6)
    assert (path.errors.diff() >= 0).all()


def test_readers_in_one_view_or_in_several_give_the_same_path():
    w, covariance = problem(20, k=5)
    together = forward(w, covariance, ridge=1e-4)
    apart = forward_shared([(w[:2], covariance, 1e-4), (w[2:], covariance, 1e-4)])
    assert torch.equal(apart.order, together.order)
    torch.testing.assert_close(apart.errors, together.errors)


def test_readers_with_functions_of_their_own_share_one_order():
    first, second = problem(10, seed=1), problem(10, seed=2)
    path = forward_shared([(*first, 1e-3), (*second, 1e-3)])
    kept = path.order[4:].sort().values
    total = sum(ridged_error(w, covariance, kept, 1e-3) for w, covariance in (first, second))
    assert float(path.errors[4]) == pytest.approx(total, rel=1e-8)


def test_the_inputs_are_left_alone():
    w, covariance = problem(70)
    before = w.clone(), covariance.clone()
    forward(w, covariance, ridge=1e-3)
    assert torch.equal(w, before[0])
    assert torch.equal(covariance, before[1])
