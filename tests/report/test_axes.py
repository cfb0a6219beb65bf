import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coreprune.report.axes import Axis, by_powers, from_zero

positive = st.floats(1e-12, 1e12)


def test_places_go_from_start_to_end_and_no_further():
    axis = Axis(low=0.0, high=2.0, start=300, end=100)
    assert [axis.place(v) for v in (0.0, 1.0, 2.0, 5.0, -1.0)] == [300, 200, 100, 100, 300]


def test_equal_factors_are_equal_steps_on_an_axis_of_powers():
    axis = by_powers([0.01, 1.0, 100.0], start=0, end=400)
    assert [axis.place(v) for v in (0.01, 0.1, 1.0, 10.0)] == [0, 100, 200, 300]
    assert axis.ticks() == pytest.approx([0.01, 0.1, 1, 10, 100])


def test_short_axes_of_powers_have_ticks_between():
    assert by_powers([12.0, 130.0], start=0, end=1).ticks() == pytest.approx([10, 20, 50, 100, 200])


def test_far_spread_values_take_powers():
    assert not from_zero([1.0, 2.0, 3.0], start=0, end=1).powers
    assert from_zero([1.0, 2.0, 3000.0], start=0, end=1).powers
    assert from_zero([], start=0, end=1).ticks()


@given(st.lists(positive, min_size=1))
@example([999_999_999_999.998])
def test_every_value_lies_on_the_axis_in_its_order(values):
    for axis in (from_zero(values, start=0, end=100), by_powers(values, start=0, end=100)):
        assert axis.low <= min(values) * (1 + 1e-9)
        assert axis.high >= max(values) * (1 - 1e-9)
        places = [axis.place(value) for value in sorted(values)]
        assert places == sorted(places)
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 20
        assert all(math.isfinite(tick) for tick in ticks)
