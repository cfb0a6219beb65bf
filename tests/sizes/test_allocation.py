"""The descent against trying every width."""

import itertools

import numpy as np
import pytest
import torch

from coreprune.sizes.allocation import Price, _hull_slopes, descend, refill
from coreprune.sizes.costs import Cost, Term


def price(neurons, seed, *, convex=True):
    """Random prices: of growing steps, or rising anyhow."""
    steps = torch.rand(
        neurons - 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    steps = steps.sort().values if convex else steps.pow(4)
    errors = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    return Price(neurons=neurons, errors=errors)


CHAIN = Cost(
    fixed=2,
    terms=(
        Term(factor=5, groups=("a",)),
        Term(factor=1, groups=("b", "a")),
        Term(factor=1, groups=("c", "b")),
        Term(factor=2, groups=("c",)),
    ),
)


def error_of(widths, prices):
    return sum(
        float(prices[name].errors[prices[name].neurons - width]) for name, width in widths.items()
    )


def every_width(prices):
    names = list(prices)
    for widths in itertools.product(*(range(1, prices[n].neurons + 1) for n in names)):
        yield dict(zip(names, widths, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_with_savings_that_never_change_every_stage_is_the_best_of_its_cost(seed):
    """Convex prices and a cost that is a sum: greedy is exact."""
    cost = Cost(fixed=3, terms=(Term(factor=1, groups=("a",)), Term(factor=1, groups=("b",))))
    prices = {"a": price(9, seed), "b": price(7, 100 + seed)}
    everything = [(cost.of(w), error_of(w, prices)) for w in every_width(prices)]
    for stage in descend(prices, cost):
        best = min(error for spent, error in everything if spent <= stage.cost)
        assert stage.error == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.8, 0.5, 0.3])
def test_with_products_of_widths_it_comes_near_the_best(seed, limit):
    prices = {"a": price(9, seed), "b": price(7, 50 + seed), "c": price(8, 90 + seed)}
    bound = limit * CHAIN.of({"a": 9, "b": 7, "c": 8})
    first = next(stage for stage in descend(prices, CHAIN) if stage.cost <= bound)
    found = refill(first, prices, CHAIN, limit=bound)
    best = min(error_of(w, prices) for w in every_width(prices) if CHAIN.of(w) <= bound)
    assert best - 1e-12 <= found.error <= 1.35 * best


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("round_to", [1, 2, 3, 4, 9, 20])
def test_stages_go_down_one_group_at_a_time_to_the_least_widths(round_to, convex):
    prices = {name: price(n, n, convex=convex) for name, n in (("a", 9), ("b", 7), ("c", 8))}
    stages = list(descend(prices, CHAIN, round_to=round_to))
    assert stages[0].widths == {"a": 9, "b": 7, "c": 8}
    assert stages[0].error == 0
    assert stages[-1].widths == {name: min(p.neurons, round_to) for name, p in prices.items()}
    for before, after in itertools.pairwise(stages):
        changed = [name for name in prices if before.widths[name] != after.widths[name]]
        assert len(changed) == 1
        assert after.widths[changed[0]] < before.widths[changed[0]]
        assert after.cost < before.cost
        assert after.error >= before.error - 1e-15
    for stage in stages:
        assert stage.cost == CHAIN.of(stage.widths)
        assert stage.error == pytest.approx(error_of(stage.widths, prices), abs=1e-12)
        for name, width in stage.widths.items():
            assert width == prices[name].neurons or width % round_to == 0


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_each_step_is_the_cheapest_at_the_present_widths(seed, convex):
    """The heap is lazy: ratios that it holds were right for wider networks."""
    prices = {
        name: price(n, seed * 10 + n, convex=convex) for name, n in (("a", 9), ("b", 7), ("c", 8))
    }
    slopes = {
        name: _hull_slopes(np.arange(p.neurons), p.errors.numpy()) for name, p in prices.items()
    }
    for before, after in itertools.pairwise(descend(prices, CHAIN)):
        ratios = {
            name: slopes[name][prices[name].neurons - width]
            / (CHAIN.of(before.widths) - CHAIN.of({**before.widths, name: width - 1}))
            for name, width in before.widths.items()
            if width > 1
        }
        chosen = next(name for name in prices if before.widths[name] != after.widths[name])
        assert ratios[chosen] == pytest.approx(min(ratios.values()))


def test_a_group_that_saves_nothing_goes_last_and_comes_back_first():
    prices = {"a": price(4, 0), "free": price(5, 1)}
    cost = Cost(fixed=0, terms=(Term(factor=1, groups=("a",)),))
    stages = list(descend(prices, cost))
    assert [stage.widths["a"] for stage in stages] == [4, 3, 2, 1, 1, 1, 1, 1]
    assert [stage.widths["free"] for stage in stages] == [5, 5, 5, 5, 4, 3, 2, 1]
    full = refill(stages[-1], prices, cost, limit=1)
    assert full.widths == {"a": 1, "free": 5}
    assert full.cost == 1


def test_a_dear_neuron_does_not_hide_the_cheap_ones_behind_it():
    """The next neuron of a costs 1, the five after it nothing: 1/6 each, less than b's 1/2."""
    prices = {
        "a": Price(neurons=7, errors=torch.tensor([0.0, 1, 1, 1, 1, 1, 1], dtype=torch.float64)),
        "b": Price(neurons=3, errors=torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)),
    }
    cost = Cost(fixed=0, terms=(Term(factor=1, groups=("a",)), Term(factor=1, groups=("b",))))
    widths = [stage.widths for stage in descend(prices, cost)]
    assert [w["b"] for w in widths[:7]] == [3] * 7
    assert [w["a"] for w in widths[:7]] == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("round_to", [1, 2])
@pytest.mark.parametrize("limit", np.linspace(0.2, 1.0, 9).tolist())
def test_what_is_given_back_fits_and_nothing_more_would(limit, round_to):
    prices = {name: price(n, n, convex=False) for name, n in (("a", 9), ("b", 7), ("c", 8))}
    bound = limit * CHAIN.of({"a": 9, "b": 7, "c": 8})
    first = next(s for s in descend(prices, CHAIN, round_to=round_to) if s.cost <= bound)
    found = refill(first, prices, CHAIN, limit=bound, round_to=round_to)
    assert found.cost == CHAIN.of(found.widths) <= bound
    assert found.error == pytest.approx(error_of(found.widths, prices))
    assert found.error <= first.error + 1e-12
    for name, width in found.widths.items():
        n = prices[name].neurons
        above = min(n, (width // round_to + 1) * round_to)
        assert width == n or CHAIN.of({**found.widths, name: above}) > bound


def test_a_wide_group_of_one_price_is_quick_to_descend():
    prices = {name: Price(neurons=3000, errors=torch.zeros(3000)) for name in "abc"}
    assert sum(1 for _ in descend(prices, CHAIN)) == 3 * 2999 + 1


@pytest.mark.parametrize("seed", range(6))
def test_the_hull_is_the_largest_convex_function_below_the_prices(seed):
    generator = np.random.default_rng(seed)
    removed = np.concatenate([[0], generator.integers(1, 5, 12).cumsum()])
    errors = np.concatenate([[0.0], generator.random(12).cumsum()])
    slopes = _hull_slopes(removed, errors)
    hull = np.concatenate([[0.0], (slopes * np.diff(removed)).cumsum()])
    assert (np.diff(slopes) >= -1e-12).all()
    assert (hull <= errors + 1e-12).all()
    assert hull[-1] == pytest.approx(errors[-1])
    for position, at in enumerate(removed):
        chords = [
            errors[i] + (errors[j] - errors[i]) * (at - removed[i]) / (removed[j] - removed[i])
            for i in range(13)
            for j in range(13)
            if removed[i] <= at <= removed[j] and i != j
        ]
        assert hull[position] == pytest.approx(min([*chords, errors[position]]))


def test_one_neuron_a_group_leaves_nothing_to_descend():
    prices = {"a": Price(neurons=1, errors=torch.zeros(1))}
    cost = Cost(fixed=0, terms=(Term(factor=1, groups=("a",)),))
    assert [stage.widths for stage in descend(prices, cost)] == [{"a": 1}]
