import math

import pytest

from experiments.spread import interval, spread, verdict


def test_the_interval_is_student_s():
    low, high = interval([1.0, 2.0, 3.0, 4.0, 5.0])  # 3 ± 2.776 · 1.5811 / √5
    assert (low, high) == pytest.approx((1.037, 4.963), abs=1e-3)


def test_a_single_seed_says_nothing():
    assert interval([-1.0]) == (-math.inf, math.inf)
    assert spread([3.0]) == 0.0
    assert verdict([-1.0], lower="a", higher="b", neither="c") == "c (-1.00, one seed)"


@pytest.mark.parametrize(
    ("differences", "said"), [([-1.0, -1.1], "a"), ([1.0, 1.1], "b"), ([-1.0, 1.0], "c")]
)
def test_the_verdict_follows_the_interval(differences, said):
    assert verdict(differences, lower="a", higher="b", neither="c").startswith(f"{said} (")
