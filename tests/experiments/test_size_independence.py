import pytest

from experiments.size_independence.run import REGIMES, TOTAL, _slope, _verdict


@pytest.mark.parametrize(("regime", "make", "claimed"), REGIMES, ids=[r[0] for r in REGIMES])
def test_the_total_is_fixed_where_it_is_said_to_be_and_only_there(regime, make, claimed):
    small, large = (make(n, 0).sensitivities().sum().item() for n in (100, 10_000))
    if claimed == 0:
        assert small == pytest.approx(TOTAL, rel=1e-12)
        assert large == pytest.approx(TOTAL, rel=1e-12)
    else:
        assert large / small == pytest.approx(100, rel=0.2)


def test_a_planted_slope_is_recovered():
    sizes = [100, 1000, 10_000]
    fitted = _slope(sizes, [[2 * n**0.5, 3 * n**0.7] for n in sizes])
    assert fitted["mean"] == pytest.approx(0.6)
    assert fitted["low"] < 0.6 < fitted["high"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.02, "holds"),
        (0.06, 0.2, "does not hold"),
        (-0.3, -0.1, "does not hold"),
        (-0.1, 0.1, "not decided"),
    ],
)
def test_the_verdict_looks_at_the_whole_interval(low, high, words):
    assert _verdict({"claimed": 1.0, "low": 1 + low, "high": 1 + high}).startswith(words)
