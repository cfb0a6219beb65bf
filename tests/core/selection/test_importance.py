import itertools
import math

import pytest
import torch
from asserts import factors_of, hoeffding_radius
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from coreprune.core.selection.importance import (
    draws_for_distinct,
    expected_distinct,
    importance,
    importance_draws,
    weighted_by_counts,
)
from coreprune.core.sensitivity import probabilities

POSITIVE = st.floats(1e-3, 1e3)


def _expected_factors(pr: Tensor, num_draws: int) -> Tensor:
    """E[u_j / w_j] by running through every sequence of draws."""
    n = len(pr)
    weights, expected = torch.ones(1, n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for drawn in itertools.product(range(n), repeat=num_draws):
        counts = torch.bincount(torch.tensor(drawn), minlength=n).double()
        subset = weighted_by_counts(weights, pr, counts)
        assert subset.num_draws == num_draws
        expected += math.prod(pr[j].item() for j in drawn) * factors_of(subset, weights)
    return expected


def _stop_rule_factors(pr: list[float]) -> list[float]:
    """E[u_j / w_j] when draws go on until 3 distinct neurons are seen, exactly but for the tail.

    A sequence of N draws ends with a new c after N − 1 draws of both a and b and of nothing else.
    """
    expected = [0.0] * len(pr)
    for a, b, c in itertools.permutations(range(len(pr)), 3):
        for draws in range(3, 2000):
            both, alone = (pr[a] + pr[b]) ** (draws - 2), pr[a] ** (draws - 1)
            count_of_a = (draws - 1) * (pr[a] * both - alone)
            expected[a] += count_of_a * pr[c] / (draws * pr[a])
            if a < b:
                seen = both * (pr[a] + pr[b]) - alone - pr[b] ** (draws - 1)
                expected[c] += seen / draws
    return expected


@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_a_fixed_number_of_draws_is_unbiased_by_enumeration(num_draws):
    pr = probabilities(torch.tensor([5.0, 2.0, 0.5], dtype=torch.float64))
    torch.testing.assert_close(_expected_factors(pr, num_draws), torch.ones(3).double())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(s=st.lists(POSITIVE, min_size=1, max_size=4))
def test_two_draws_are_unbiased_for_any_sensitivities(s):
    pr = probabilities(torch.tensor(s, dtype=torch.float64))
    expected = torch.ones(len(s), dtype=torch.float64)
    torch.testing.assert_close(_expected_factors(pr, 2), expected, rtol=1e-10, atol=0)


def test_drawing_until_enough_are_distinct_is_biased_and_a_fixed_number_is_not():
    s = [0.699, 0.19827, 0.06321, 0.03952]
    published_rule = _stop_rule_factors(s)
    assert published_rule == pytest.approx([0.90, 1.06, 1.56, 1.61], abs=5e-3)
    ours = _expected_factors(torch.tensor(s, dtype=torch.float64), 3)
    torch.testing.assert_close(ours, torch.ones(4).double())


def test_the_stop_rule_s_exact_bias_agrees_with_running_it():
    pr, repetitions = torch.tensor([0.699, 0.19827, 0.06321, 0.03952]), 20_000
    generator = Generator().manual_seed(0)
    drawn = torch.multinomial(pr, repetitions * 200, replacement=True, generator=generator)
    seen = torch.nn.functional.one_hot(drawn.view(repetitions, 200), 4).cumsum(1)
    stop = ((seen > 0).sum(2) >= 3).int().argmax(1)  # 200 draws miss it with probability < 1e-8
    counts = seen[torch.arange(repetitions), stop]
    factors = (counts / (stop + 1)[:, None] / pr).double()
    for simulated, exact, bound in zip(
        factors.mean(0).tolist(), _stop_rule_factors(pr.tolist()), (1 / pr).tolist(), strict=True
    ):
        assert abs(simulated - exact) <= hoeffding_radius(repetitions, width=bound)


def test_the_sampler_draws_with_the_stated_joint_probabilities():
    """Each pair frequency within Hoeffding's radius; false alarm below 7 · 1e-9."""
    s, repetitions = torch.tensor([4.0, 0.0, 1.0, 2.0, 1.0]).double(), 4000
    pr, generator = probabilities(s), Generator().manual_seed(3)
    joint = torch.zeros(5, 5, dtype=torch.float64)
    for _ in range(repetitions):
        subset = importance_draws(torch.ones(1, 5), s, num_draws=2, generator=generator)
        joint[subset.indices[0], subset.indices[-1]] += 1 / repetitions
    exact = torch.triu(2 * pr[:, None] * pr, diagonal=1) + torch.diag(pr**2)
    assert (joint - exact).abs().max() <= hoeffding_radius(repetitions)


def test_many_draws_find_every_neuron_in_proportion():
    """A seeded frequency test of the counts of 10⁶ draws; false alarm below 13 · 1e-9."""
    pr = probabilities(torch.arange(13).double())
    subset = importance_draws(
        torch.ones(1, 13, dtype=torch.float64),
        pr,
        num_draws=1_000_000,
        generator=Generator().manual_seed(5),
    )
    frequencies = subset.weights[0] * pr[subset.indices]
    assert 0 not in subset.indices
    assert (frequencies - pr[subset.indices]).abs().max() <= hoeffding_radius(1_000_000)
    assert frequencies.sum().item() == pytest.approx(1.0, rel=1e-12)


def test_the_estimate_is_unbiased_in_a_seeded_run():
    """A mean of 3000 runs within Hoeffding's radius of w; false alarm below 4 · 1e-9."""
    weights = torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64)
    s, generator = torch.tensor([1.0, 2.0, 1.0, 0.5]).double(), Generator().manual_seed(11)
    runs = [importance(weights, s, num_neurons=2, generator=generator) for _ in range(3000)]
    mean = torch.stack([factors_of(run, weights) for run in runs]).mean(0)
    for factor, probability in zip(mean.tolist(), probabilities(s).tolist(), strict=True):
        assert abs(factor - 1) <= hoeffding_radius(3000, width=1 / probability)


@pytest.mark.parametrize("num_draws", [1, 2, 5])
def test_the_expected_number_of_distinct_neurons_is_exact(num_draws):
    s = torch.tensor([5.0, 2.0, 0.5])
    pr = probabilities(s.double()).tolist()
    exact = sum(
        math.prod(pr[j] for j in drawn) * len(set(drawn))
        for drawn in itertools.product(range(3), repeat=num_draws)
    )
    assert expected_distinct(num_draws, s) == pytest.approx(exact, rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(s=st.lists(POSITIVE, min_size=2, max_size=12), data=st.data())
def test_no_other_number_of_draws_comes_nearer_to_the_target(s, data):
    sensitivities = torch.tensor(s, dtype=torch.float64)
    target = data.draw(st.integers(1, len(s) - 1))
    draws = draws_for_distinct(target, sensitivities)
    assert draws >= target
    miss = abs(expected_distinct(draws, sensitivities) - target)
    for other in (draws - 1, draws + 1):
        if other > 0:
            assert miss <= abs(expected_distinct(other, sensitivities) - target) + 1e-9


def test_draws_and_distinct_neurons_are_both_reported():
    s, generator = torch.rand(200, generator=Generator().manual_seed(0)), Generator().manual_seed(1)
    draws = draws_for_distinct(60, s)
    runs = [
        importance(torch.ones(1, 200), s, num_neurons=60, generator=generator) for _ in range(50)
    ]
    assert {run.num_draws for run in runs} == {draws}
    widths = torch.tensor([float(len(run.indices)) for run in runs])
    assert len(widths.unique()) > 1
    # Bounded differences: one draw changes the width by at most 1; false alarm below 1e-9.
    assert abs(widths.mean().item() - 60) <= 0.5 + hoeffding_radius(50, width=math.sqrt(draws))


def test_asking_for_every_living_neuron_keeps_them_as_they_are():
    weights, s = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1.0, 0.0, 5.0])
    for wanted, kept in ((2, [0, 2]), (3, [0, 1, 2])):
        subset = importance(weights, s, num_neurons=wanted, generator=Generator())
        assert subset.indices.tolist() == kept
        assert torch.equal(subset.weights, weights[:, kept])
        assert subset.num_draws is None


def test_a_sensitivity_below_rounding_asks_for_no_astronomic_number_of_draws():
    s = torch.tensor([1.0, 2.0, 1.0, 1e-310, 1e-310], dtype=torch.float64)
    subset = importance(torch.ones(1, 5), s, num_neurons=2, generator=Generator())
    assert subset.num_draws < 10
    everything = importance(torch.ones(1, 5), s, num_neurons=4, generator=Generator())
    assert everything.indices.tolist() == [0, 1, 2, 3]


def test_hardly_ever_drawn_neurons_do_not_overflow_the_number_of_draws():
    s = torch.tensor([1.0, 1e-30, 1e-30], dtype=torch.float64)
    assert expected_distinct(draws_for_distinct(2, s), s) == pytest.approx(2.0)
    subset = importance(torch.ones(1, 3), s, num_neurons=2, generator=Generator().manual_seed(0))
    assert torch.isfinite(subset.weights).all()
