import pytest
import torch
from asserts import factors_of, hoeffding_radius
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from coreprune.core.selection.priority import highest_priority, priority

POSITIVE = st.floats(1e-3, 1e3)


def _integral_over_one_uniform(
    s: torch.Tensor, r: torch.Tensor, *, j: int, num_neurons: int
) -> float:
    """∫ u_j / w_j dr_j with the other uniforms given.

    u_j is constant while j is kept, and j is kept exactly for r_j < s_j / τ_j, τ_j the m-th
    largest of the other priorities: two evaluations, one on either side, are the integral.
    """
    weights = torch.ones(1, len(s), dtype=torch.float64)
    others = torch.cat([(s / r)[:j], (s / r)[j + 1 :]]).sort(descending=True).values
    cut = min(1.0, float(s[j] / others[num_neurons - 1]))

    def factor(uniform: float) -> float:
        at = r.clone()
        at[j] = uniform
        return float(
            factors_of(highest_priority(weights, s, at, num_neurons=num_neurons), weights)[j]
        )

    below, above = factor(cut * (1 - 1e-9)), factor(min(1.0, cut * (1 + 1e-9)))
    assert below == factor(cut / 7)
    return cut * below + (1 - cut) * (above if cut < 1 else 0.0)


@pytest.mark.parametrize("other", [0.01, 0.3, 0.5, 0.999, 1.0])
def test_one_of_two_is_unbiased_by_integration(other):
    s = torch.tensor([3.0, 2.0], dtype=torch.float64)
    for j in (0, 1):
        r = torch.full((2,), other, dtype=torch.float64)
        assert _integral_over_one_uniform(s, r, j=j, num_neurons=1) == pytest.approx(1.0, rel=1e-9)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), n=st.integers(2, 8))
def test_every_neuron_is_unbiased_given_the_others(data, n):
    numbers = st.lists(POSITIVE, min_size=n, max_size=n)
    s = torch.tensor(data.draw(numbers), dtype=torch.float64)
    r = torch.rand(
        n, dtype=torch.float64, generator=Generator().manual_seed(data.draw(st.integers(0, 10_000)))
    ).clamp_min(1e-6)
    m, j = data.draw(st.integers(1, n - 1)), data.draw(st.integers(0, n - 1))
    assert _integral_over_one_uniform(s, r, j=j, num_neurons=m) == pytest.approx(1.0, rel=1e-8)


def test_one_of_two_is_kept_as_often_as_calculated():
    """P(neuron 0) = 1 − s_1 / (2 s_0) for s_0 ≥ s_1; false alarm below 1e-9."""
    s, generator = torch.tensor([3.0, 2.0]), Generator().manual_seed(0)
    runs = [
        priority(torch.ones(1, 2), s, num_neurons=1, generator=generator).indices.item() == 0
        for _ in range(3000)
    ]
    assert abs(sum(runs) / 3000 - 2 / 3) <= hoeffding_radius(3000)


def test_the_estimate_is_unbiased_in_a_seeded_run():
    """Within 6 standard errors; false alarm below 5 · 2e-9 by the normal approximation."""
    weights = torch.tensor([[1.0, -2.0, 0.5, 3.0, 1.0]], dtype=torch.float64)
    s, generator = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25]).double(), Generator().manual_seed(2)
    runs = [priority(weights, s, num_neurons=3, generator=generator) for _ in range(4000)]
    factors = torch.stack([factors_of(run, weights) for run in runs])
    error = (factors.mean(0) - 1).abs()
    assert (error <= 6 * factors.std(0) / 4000**0.5).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(s=st.lists(st.one_of(POSITIVE, st.just(0.0)), min_size=1, max_size=10), data=st.data())
def test_the_width_is_exact_and_what_is_dead_comes_last(s, data):
    wanted, alive = data.draw(st.integers(1, len(s))), sum(value > 0 for value in s)
    subset = priority(
        torch.ones(1, len(s)), torch.tensor(s), num_neurons=wanted, generator=Generator()
    )
    assert len(subset.indices) == wanted
    assert sum(s[j] > 0 for j in subset.indices.tolist()) == min(wanted, alive)
    assert subset.num_draws is None


def test_the_weights_are_horvitz_thompson_s():
    s, r = torch.tensor([4.0, 2.0, 1.0]).double(), torch.tensor([1.0, 0.25, 0.5]).double()
    subset = highest_priority(torch.ones(1, 3).double(), s, r, num_neurons=1)  # q = 4, 8, 2; τ = 4
    assert subset.indices.tolist() == [1]
    assert subset.weights.tolist() == [[2.0]]
