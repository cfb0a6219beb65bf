import warnings

import pytest

from benchmarks import on_ray
from experiments.llama_shaped.folder import Shape

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own
    pytest.importorskip("ray", reason="the extra distributed is not installed")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ray_is_measured_against_the_plain_loop(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 1.0, 11.0, 11.0, 21.5])
    monkeypatch.setattr(on_ray, "processor_seconds", lambda: next(clock))
    assert on_ray.main(shape=Shape(hidden=8, neurons=16, layers=2)) == pytest.approx(0.05)
    assert "5.25 s with all of Ray: +5.0% (limit 10%)" in capsys.readouterr().out
