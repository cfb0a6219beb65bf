"""The benchmarks judge what has a limit and only report the others."""

import json

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import (
    certifying,
    import_time,
    latency,
    onnx_structure,
    sampling,
    selecting,
    whole_network,
)
from experiments.mnist import NoDataError

LIMITS = (
    "vector_norm", "Gram matrix", "closed form", "whole layer", "neuron by neuron", "onnx.load",
)  # fmt: skip


@pytest.mark.parametrize(
    ("sampled", "selected", "seconds", "certified", "structure", "misses"),
    [
        ({0.1: 5.0, 0.25: 9.0}, {"optimal": 5.0, "forward": 9.0}, 1.0, (10.0, 180.0), 3.0, ()),
        ({0.1: 5.1, 0.25: 1.0}, {"optimal": 5.0}, 0.1, (1.0, 9.0), 1.0, ("vector_norm",)),
        ({0.1: 5.0}, {"optimal": 5.1, "forward": 1.0}, 0.1, (1.0, 9.0), 1.0, ("Gram matrix",)),
        ({0.1: 5.0}, {"optimal": 5.0}, 1.1, (1.0, 9.0), 1.0, ("closed form",)),
        ({0.1: 5.0}, {"optimal": 5.0}, 0.1, (10.1, 9.0), 1.0, ("whole layer",)),
        ({0.1: 5.0}, {"optimal": 5.0}, 0.1, (1.0, 181.0), 1.0, ("neuron by neuron",)),
        ({0.1: 5.0}, {"optimal": 5.0}, 0.1, (1.0, 9.0), 3.1, ("onnx.load",)),
        ({0.1: 6.0}, {"optimal": 6.0}, 6.0, (11.0, 200.0), 3.1, LIMITS),
    ],
)
def test_only_the_ratios_with_a_limit_are_judged(
    monkeypatch, tmp_path, capsys, sampled, selected, seconds, certified, structure, misses
) -> None:
    monkeypatch.setattr(sampling, "main", lambda: sampled)
    monkeypatch.setattr(selecting, "main", lambda: selected)
    monkeypatch.setattr(whole_network, "main", lambda: {"closed form": seconds, "other": 9.0})
    monkeypatch.setattr(certifying, "main", lambda: certified)
    ratio = onnx_structure.Ratio(structure=structure, checked=9.0)
    monkeypatch.setattr(onnx_structure, "main", lambda: {onnx_structure.GENERATED: ratio})
    monkeypatch.setattr(import_time, "main", lambda: (0.1, 0.3, 0.2))
    monkeypatch.setattr(latency, "main", lambda: {(64, 0.8, 1): 0.7})
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results.json")
    assert program.main(publish=True) == bool(misses)
    costs = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["costs"]
    assert [c["value"] for c in costs if c["what"].startswith("import ")] == [0.1]
    errors = capsys.readouterr().err
    assert [name in errors for name in LIMITS] == [name in misses for name in LIMITS]


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(selecting, "NEURONS", 16)
    monkeypatch.setattr(selecting, "OUTPUTS", 4)
    monkeypatch.setattr(selecting, "_BATCH", 8)


@pytest.mark.usefixtures("small")
def test_selecting_is_measured_against_its_gram_matrix(monkeypatch, capsys) -> None:
    monkeypatch.setattr(selecting, "_seconds", lambda *_: 3.0)
    moments = selecting._moments
    monkeypatch.setattr(selecting, "_moments", lambda *a, **k: (moments(*a, **k)[0], 2.0))
    assert selecting.main() == {"optimal": 1.5, "backward": 1.5, "forward": 1.5}
    assert "1.50 × the Gram matrix of 10 n queries" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_the_large_run_tells_its_peak_memory(capsys) -> None:
    peak = selecting.large(16)
    assert 0.05 < peak < 16
    assert f"{peak:.1f} GiB at the peak (limit 16)" in capsys.readouterr().out


def test_certifying_is_measured_against_pruning(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(certifying, "SIZE", 16)
    pruned = certifying._pruned
    monkeypatch.setattr(certifying, "_pruned", lambda size: (pruned(size)[0], 1e-9))
    layer, neurons = certifying.main()
    assert layer > 1000
    assert 0 < neurons < 60
    out = capsys.readouterr().out
    assert "pruning a layer of n = k = d = 16 to half, ReLU: 0.00 s" in out
    assert f"{layer:.2f} × pruning" in out


def test_ratios_are_of_the_best_runs(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(sampling, "NEURONS", 8)
    monkeypatch.setattr(sampling, "INPUTS", 4)
    monkeypatch.setattr(sampling, "OUTPUTS", 4)
    monkeypatch.setattr(sampling, "_best", lambda *_: [0.1, 0.3])
    assert sampling.main() == {share: pytest.approx(3.0) for share in sampling.SHARES}
    assert "3.0 × vector_norm" in capsys.readouterr().out


def test_latency_is_what_part_of_the_predicted_saving_is_real(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(latency, "BATCHES", {3: 2})
    monkeypatch.setattr(latency, "CASES", ((0.5, 1),))
    measured = latency._times(
        {case: latency._narrowed(*case) for case in ((0.25, 1), (0.25, 16))}, batch=1, rounds=2
    )
    assert [len(times) for times in measured.values()] == [2, 2]
    monkeypatch.setattr(
        latency, "_times", lambda *_, **__: {latency.WHOLE: [2.0, 4.0], (0.5, 1): [1.2, 2.4]}
    )
    monkeypatch.setattr(latency, "_flops", lambda net: sum(p.numel() for p in net.parameters()))
    found = latency.main()
    whole, half = (
        sum(p.numel() for p in latency._narrowed(keep, 1).parameters()) for keep in (1.0, 0.5)
    )
    assert found == {(3, 0.5, 1): pytest.approx(0.4 / (1 - half / whole))}
    assert "0.60 × the whole (3000.0 ms)" in capsys.readouterr().out


def test_latency_is_of_the_shapes_that_pruning_gives() -> None:
    first = [m for m in latency._narrowed(0.8, 1).modules() if isinstance(m, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in first[:5]] == [51, 51, 102, 102, 205]
    rounded = [m for m in latency._narrowed(0.6, 16).modules() if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in rounded] == [304, 304, 10]


def test_structure_of_files_is_timed_with_and_without_the_postcondition(monkeypatch, small) -> None:
    def nowhere(*_, **__):
        raise NoDataError("not here")

    monkeypatch.setattr("experiments.onnx_files.subjects.file_of", nowhere)
    monkeypatch.setattr(onnx_structure.generated, "__kwdefaults__", {"width": 8, "layers": 3})
    found = onnx_structure.main()
    assert list(found) == [onnx_structure.GENERATED]
    assert 0 < found[onnx_structure.GENERATED].structure < found[onnx_structure.GENERATED].checked
