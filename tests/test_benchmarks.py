"""The benchmarks judge one ratio and only report the others."""

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import import_time, sampling


@pytest.mark.parametrize(
    ("ratios", "code"),
    [
        ({0.1: 5.0, 0.25: 9.0}, 0),
        ({0.1: 5.1, 0.25: 1.0}, 1),
    ],
)
def test_only_the_ratio_at_a_tenth_is_judged(monkeypatch, capsys, ratios, code) -> None:
    monkeypatch.setattr(sampling, "main", lambda: ratios)
    monkeypatch.setattr(import_time, "main", lambda: None)
    assert program.main() == code
    assert ("at most 5.0" in capsys.readouterr().err) == bool(code)


def test_ratios_are_of_the_best_runs(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(sampling, "NEURONS", 8)
    monkeypatch.setattr(sampling, "INPUTS", 4)
    monkeypatch.setattr(sampling, "OUTPUTS", 4)
    monkeypatch.setattr(sampling, "_best", lambda *_: [0.1, 0.3])
    assert sampling.main() == {share: pytest.approx(3.0) for share in sampling.SHARES}
    assert "3.0 × vector_norm" in capsys.readouterr().out
