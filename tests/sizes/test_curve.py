"""The curve: the descent in at most a hundred points."""

import itertools
import math

import pytest
import torch

from coreprune.sizes.allocation import Price
from coreprune.sizes.costs import Cost, Term
from coreprune.sizes.curve import POINTS, price_curve

ONE = Cost(fixed=10, terms=(Term(factor=1, groups=("a",)), Term(factor=3, groups=("b", "a"))))
NONE = Cost(fixed=0, terms=())
NEURONS = Cost(fixed=0, terms=(Term(factor=1, groups=("a",)), Term(factor=1, groups=("b",))))


def costs(**others):
    return {"parameters": ONE, "flops": ONE, "bytes": ONE, "neurons": NEURONS} | others


def prices(a, b):
    return {
        "a": Price(neurons=a, errors=torch.arange(a) ** 2 / 10),
        "b": Price(neurons=b, errors=torch.arange(b) / 3),
    }


@pytest.mark.parametrize(("a", "b"), [(3, 2), (400, 300), (1, 1)])
@pytest.mark.parametrize("kind", ["parameters", "neurons"])
def test_it_goes_from_everything_to_the_least(a, b, kind):
    found = price_curve(prices(a, b), costs(), kind=kind, round_to=1)
    first, last = found[0], found[-1]
    assert (first.parameters, first.flops, first.bytes, first.neurons) == (1, 1, 1, 1)
    assert first.expected_error == 0
    assert last.widths == {"a": 1, "b": 1}
    assert last.parameters == 14 / (10 + a + 3 * a * b)
    assert last.expected_error == pytest.approx(math.sqrt((a - 1) ** 2 / 10 + (b - 1) / 3))
    assert len(found) <= POINTS
    for before, after in itertools.pairwise(found):
        assert getattr(after, kind) < getattr(before, kind)
        assert after.expected_error >= before.expected_error


def test_points_are_about_evenly_spaced():
    found = price_curve(prices(400, 300), costs(), kind="parameters", round_to=1)
    gaps = [b.parameters - a.parameters for a, b in itertools.pairwise(found)]
    assert len(found) > 60
    assert max(-gap for gap in gaps) < 3 / POINTS


def test_points_are_of_multiples():
    found = price_curve(prices(40, 30), costs(), kind="parameters", round_to=8)
    assert all(w in {40, 30} or w % 8 == 0 for point in found for w in point.widths.values())


def test_without_prices_there_is_none():
    assert price_curve({}, costs(), kind="parameters", round_to=1) == ()


def test_a_cost_that_nothing_has_stays_whole():
    found = price_curve(prices(400, 300), costs(parameters=NONE), kind="parameters", round_to=1)
    assert {point.parameters for point in found} == {1.0}
    assert found[-1].widths == {"a": 1, "b": 1}
    assert len(found) <= POINTS


def test_widths_that_save_nothing_add_no_point_beyond_the_hundred():
    few = Cost(fixed=0, terms=(Term(factor=1, groups=("a",)),))
    found = price_curve(prices(100, 50), costs(parameters=few), kind="parameters", round_to=1)
    assert len(found) <= POINTS
    assert found[-1].widths == {"a": 1, "b": 1}
