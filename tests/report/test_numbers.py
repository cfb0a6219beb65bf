import math

import pytest

from coreprune.report.numbers import BYTES, MISSING, SECONDS, count, number, pair, score, share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (0.43217, "0.432"), (131.9, "132"), (999.6, "1,000"), (5310.2, "5,310"),
        (1.25e7, "1.2 × 10⁷"), (4.1e-5, "4.1 × 10⁻⁵"), (-0.5, "−0.5"), (math.inf, "∞"),
        (math.nan, MISSING), (None, MISSING), (0.001, "0.001"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_three_digits_without_e(value, text):
    assert number(value) == text


def test_pairs_take_the_unit_of_the_first():
    assert pair(1_066_440, 503_240, BYTES) == "1.07 → 0.503\u202fMB"
    assert pair(1.2e-3, 8e-4, SECONDS) == "1.2 → 0.8\u202fms"
    assert pair(0, 0, BYTES) == "0 → 0\u202fB"
    assert pair(2e-8, 1e-8, SECONDS) == "0.02 → 0.01\u202fµs"


def test_a_share_of_nothing_is_all_of_it():
    assert share(0, 0) == "100\u202f%"
    assert share(1, 3) == "33.3\u202f%"
    assert [score(v) for v in (0.98123, 266610.0, -1.5)] == ["0.9812", "266,610", "-1.5"]
    assert (count(1234.0), count(None)) == ("1,234", MISSING)
