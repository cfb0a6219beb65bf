import pytest
import torch

from coreprune.budget import Budget
from coreprune.cut_notes import missed
from coreprune.error_budget import NEAR, ROUNDS, nearest_below
from coreprune.measured_error import OutputChange


def test_an_error_that_exceeds_its_target_is_planned_for_less():
    found = nearest_below(
        Budget(error=0.1), cut=lambda planned: planned.target, measured=lambda cut: 1.3 * cut
    )
    assert 1.3 * found <= 0.1 * NEAR


def test_an_error_below_its_target_is_cut_once():
    planned = []
    nearest_below(Budget(error=0.1), cut=planned.append, measured=lambda _: 0.09)
    assert len(planned) == 1


def test_no_more_than_a_few_networks_are_cut_and_the_nearest_comes_back():
    errors = iter([0.3, 0.2, 0.25])
    planned = []

    def cut(budget):
        planned.append(budget)
        return next(errors)

    assert nearest_below(Budget(error=0.1), cut=cut, measured=lambda error: error) == 0.2
    assert len(planned) == ROUNDS


@pytest.mark.parametrize("broken", [None, torch.nan, torch.inf])
def test_a_cut_without_an_error_is_not_taken_for_one_with_a_large_one(broken):
    errors = {0.3: 0.3, 0.1: broken}
    cuts = iter(errors)

    def cut(_):
        return next(cuts)

    assert nearest_below(Budget(error=0.1), cut=cut, measured=errors.__getitem__) == 0.3


@pytest.mark.parametrize("broken", [None, torch.nan, torch.inf])
def test_where_nothing_is_measured_the_first_cut_comes_back(broken):
    planned = []

    def cut(budget):
        planned.append(budget.target)
        return len(planned)

    assert nearest_below(Budget(error=0.1), cut=cut, measured=lambda _: broken) == 1
    assert planned == [0.1]


def test_an_error_that_stays_too_large_is_told():
    budget = Budget(error=0.1)
    assert [*missed(budget, OutputChange(error=0.101, spread=1.0))] == []
    for error in (0.13, torch.nan):
        assert "0.1; measured" in next(missed(budget, OutputChange(error=error, spread=1.0)))
