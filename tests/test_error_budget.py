import torch

from coreprune.budget import Budget
from coreprune.error_budget import NEAR, ROUNDS, cut_to_error
from coreprune.measured_error import OutputChange
from coreprune.prune import _missed


def test_an_error_that_exceeds_its_target_is_planned_for_less():
    found = cut_to_error(
        Budget(error=0.1), cut=lambda planned: planned.target, measured=lambda cut: 1.3 * cut
    )
    assert 1.3 * found <= 0.1 * NEAR


def test_an_error_below_its_target_is_cut_once():
    planned = []
    cut_to_error(Budget(error=0.1), cut=planned.append, measured=lambda _: 0.09)
    assert len(planned) == 1


def test_no_more_than_a_few_networks_are_cut_and_the_nearest_comes_back():
    errors = iter([0.3, 0.2, 0.25])
    planned = []

    def cut(budget):
        planned.append(budget)
        return next(errors)

    assert cut_to_error(Budget(error=0.1), cut=cut, measured=lambda error: error) == 0.2
    assert len(planned) == ROUNDS


def test_an_error_that_stays_too_large_is_told():
    budget = Budget(error=0.1)
    assert [*_missed(budget, OutputChange(error=0.101, spread=1.0))] == []
    for error in (0.13, torch.nan):
        assert "0.1; measured" in next(_missed(budget, OutputChange(error=error, spread=1.0)))
