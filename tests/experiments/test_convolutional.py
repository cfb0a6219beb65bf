import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments import figure
from experiments.__main__ import HERE
from experiments.convolutional import by_norm, by_torch_pruning, contenders, networks, run
from experiments.convolutional.asked import ASKED, compared
from experiments.convolutional.stopwatch import Stopwatch
from experiments.mnist import NoDataError
from experiments.records import place, stored
from experiments.surroundings import query_cache
from experiments.vgg_cifar import VGG


def small_vgg():
    return VGG((8, 0, 8, 0, 12, 0, 12, 0, 16, 0), (10, 10)).eval()


SUBJECTS = {"resnet": lambda: networks.stand_in().model, "vgg": small_vgg}
PRUNERS = {
    "norm": lambda *given, name: by_norm.prune(*given, score=name),
    "torch-pruning": lambda *given, name: by_torch_pruning.prune(*given, criterion=name),
}


@pytest.fixture(params=SUBJECTS)
def model(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = SUBJECTS[request.param]()
        for module in found.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 2)
                module.running_mean.normal_()
    return found


@pytest.fixture
def results():
    return json.loads((HERE / "convolutional" / "results.json").read_text())


def test_the_inner_layers_of_a_chain_are_all_but_the_last():
    found = networks.inner_of(small_vgg())
    assert [one.reader for one in found[:-1]] == [one.layer for one in found[1:]]
    assert found[4] == networks.Inner(
        layer="features.16", norm="features.17", reader="classifier.0"
    )
    assert [one.norm for one in found[5:]] == [None, None]
    assert found[-1].reader == "classifier.6"


def test_widths_are_rounded_as_the_library_rounds_them():
    model = small_vgg()
    found = networks.widths_at(0.8, model, networks.inner_of(model))
    assert list(found.values()) == [6, 6, 10, 10, 13, 8, 8]


def test_the_inner_layers_of_a_residual_network_leave_its_sums_alone():
    found = networks.inner_of(networks.stand_in().model)
    assert [one.layer for one in found] == [f"layer{stage}.0.conv1" for stage in (1, 2, 3)]


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("score", by_norm.SCORES)
@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_layer_keeps_as_many_channels_as_asked(model, pruner, score, keep):
    inner = networks.inner_of(model)
    widths = networks.widths_at(keep, model, inner)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = PRUNERS[pruner](model, inner, widths, name=score)
    assert networks.widths_of(small, inner) == widths
    assert small(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_pruning_by_norm_is_silencing_the_other_channels(model):
    inner = networks.inner_of(model)
    small = by_norm.prune(model, inner, networks.widths_at(0.5, model, inner), score="BN scale")
    for module in small.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_features == len(module.running_var)
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        for one in inner:
            scores = by_norm.norm_scales(model, one)
            loud = scores >= scores.sort().values[len(scores) // 2]
            silenced = one.norm or one.layer
            model.get_submodule(silenced).weight[~loud] = 0
            model.get_submodule(silenced).bias[~loud] = 0
        torch.testing.assert_close(small(x), model(x))


def test_scores_are_norms_of_filters_and_scales():
    model = small_vgg()
    first, *_, last = networks.inner_of(model)
    layer, norm = model.features[0], model.features[1]
    norm.weight.data[3] = -9.0
    assert by_norm.filter_norms(model, first)[2] == pytest.approx(
        float(layer.weight[2].detach().abs().sum())
    )
    assert by_norm.norm_scales(model, first)[3] == 9
    assert torch.equal(by_norm.norm_scales(model, last), by_norm.filter_norms(model, last))


def test_size_counts_parameters_and_operations():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Flatten())
    flops = 2 * 3 * 4 * 9 * 32 * 32
    assert networks.size_of(model) == {"parameters": 108, "flops": flops}


def test_without_weights_only_a_quick_run_goes_on(monkeypatch):
    monkeypatch.delenv("COREPRUNE_MODELS", raising=False)
    found = networks.subject_of("VGG-16", quick=True)
    assert "noise" in found.source
    assert len(found.pictures().labels) == 1000
    with pytest.raises(NoDataError):
        networks.subject_of("VGG-16")


def test_a_record_is_measured_once_for_each_key(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"value": len(calls)}

    first = stored(tmp_path, {"name": "a", "keep": 0.5}, measure)
    assert first == {"name": "a", "keep": 0.5, "value": 1}
    assert stored(tmp_path, {"name": "a", "keep": 0.5}, measure) == first
    assert stored(tmp_path, {"name": "a", "keep": 0.6}, measure)["value"] == 2
    assert stored(None, {"name": "a", "keep": 0.5}, measure)["value"] == 3
    assert place(tmp_path, {"name": "a, b", "keep": 0.5}).name.startswith("a__b-0_5-")


def test_a_stopwatch_goes_on_with_what_lasts(tmp_path, monkeypatch):
    clock = iter((0.0, 1.0, 3.0, 7.0, 100.0, 101.0, 103.0, 104.0))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    path = tmp_path / "new" / "seconds.json"
    first = Stopwatch("drawing", path)
    for what in ("drawing", "drawing", "cutting"):
        first(what, 0, 1)
    assert first.seconds == {"drawing": 6.0}
    again = Stopwatch("drawing", path)
    again("drawing", 1, 1)
    again("cutting", 0, 1)
    assert again.stop() == {"drawing": 8.0, "cutting": 1.0}


@pytest.mark.parametrize(
    ("wanted", "got", "cells"),
    [
        ((70.0, 75.0), 75.0, ["70.0", "75.0", "75.00, aim met"]),
        ((70.0, 75.0), 70.0, ["70.0", "75.0", "70.00, floor met"]),
        ((70.0, 75.0), 69.99, ["70.0", "75.0", "69.99, below the floor"]),
        ((None, 88.0), 50.0, ["–", "88.0", "50.00, below the aim"]),
        ((None, None), 50.0, ["–", "–", "50.00"]),
        ((70.0, 75.0), None, ["70.0", "75.0", "–"]),
    ],
)
def test_what_was_asked_is_compared_with_what_came_of_it(wanted, got, cells):
    assert compared(wanted, got) == cells


def test_every_contender_has_a_column_a_colour_and_a_marker():
    assert set(run.SHOWN) == set(contenders.CONTENDERS)
    assert set(run.SHOWN) <= figure.COLOURS.keys() & figure.MARKERS.keys()
    assert run.FULL.cases == tuple(ASKED)


def invented(count, *, name=contenders.OPTIMAL):
    """Results of one case by hand."""
    entry = {"network": "VGG-16", "keep": 0.6, "accuracy": 80.0, "pictures": count}
    size = {"parameters": 50, "flops": 25}
    stages = {contenders.MATCHING: 100.0, "cutting": 20.0}
    pruned = {**entry, **size, "name": name, "widths": {"a": 1}, "stages": stages}
    peer = {**entry, **size, "name": "torch-pruning, L1", "widths": {"a": 2}, "seconds": 1.5}
    third = {**peer, "name": "L1"}
    return {
        "choices": {
            "cases": [["VGG-16", 0.6]],
            "effort": {"repair": {"steps": None, "seconds": 300}},
        },
        "originals": [{**entry, "accuracy": 91.17, "parameters": 100, "flops": 100}],
        "runs": [{**pruned, "seconds": 120.0, "law": "noise"}, peer, third],
        "data": "invented",
        **dict.fromkeys(("coreprune", "torch", "torch_pruning", "threads"), "1"),
        "seconds": 130.0,
    }


def test_the_tables_say_what_was_measured_and_what_was_not():
    text = run.table(invented(10_000))
    assert "| VGG-16 | 60 % | 91.17 | 80.00 | – | 80.00 | – | 80.00 | – |" in text
    assert "| VGG-16 | 60 % | 60.0 | 86.0 | 80.00, floor met | 75.0 | 89.0 | – |" in text
    assert "| VGG-16 | 60 % | 50.0 | 25.0 | 100 | 20 | – | – | 1.50 |" in text
    assert "the same for all but optimal of VGG-16 at 60 %." in text
    assert "VGG-16: noise" in text
    assert "Repair may take 300 seconds." in text


def test_few_pictures_are_not_compared_with_what_was_asked():
    text = run.table(invented(200))
    assert "Too few pictures" in text
    assert "floor met" not in text


def test_queries_are_kept_with_the_experiment_and_the_setting_is_restored(monkeypatch):
    monkeypatch.setenv("COREPRUNE_CACHE", "mine")
    with query_cache(Path("its")):
        assert os.environ["COREPRUNE_CACHE"] == "its"
    assert os.environ["COREPRUNE_CACHE"] == "mine"
    monkeypatch.delenv("COREPRUNE_CACHE")
    with query_cache(None):
        assert os.environ["COREPRUNE_CACHE"] == ""
    assert "COREPRUNE_CACHE" not in os.environ


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.delenv("COREPRUNE_MODELS", raising=False)
    plan = run.Plan(
        cases=(("ResNet-20", 0.5),),
        contenders=("L1", "BN scale"),
        effort=run.QUICK.effort,
        pictures=20,
        folder=tmp_path,
    )
    calls = []
    table = dict(contenders.CONTENDERS)

    def failing(*given):
        raise KeyboardInterrupt

    def counted(*given):
        calls.append(1)
        return table["L1"](*given)

    monkeypatch.setitem(contenders.CONTENDERS, "L1", counted)
    monkeypatch.setitem(contenders.CONTENDERS, "BN scale", failing)
    with pytest.raises(KeyboardInterrupt):
        run.measured(plan, quick=True)
    monkeypatch.setitem(contenders.CONTENDERS, "BN scale", table["BN scale"])
    found = run.measured(plan, quick=True)
    assert len(calls) == 1
    assert [entry["name"] for entry in found["runs"]] == ["L1", "BN scale"]
    assert json.loads(json.dumps(found)) is not None


def test_an_interrupted_repair_is_no_result(monkeypatch, tmp_path):
    subject = networks.stand_in()

    class Stopped:
        model, repair = subject.model, type("Record", (), {"stopped": "interrupted"})

    monkeypatch.setattr(contenders.coreprune, "prune", lambda *_, **__: Stopped)
    effort = contenders.Effort(repair=run.REPAIR, kept=tmp_path / "repair")
    with pytest.raises(KeyboardInterrupt):
        contenders.CONTENDERS[contenders.REPAIRED](subject, 0.5, effort)
