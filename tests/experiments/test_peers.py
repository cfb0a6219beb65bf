import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from experiments import figure
from experiments.__main__ import HERE
from experiments.lenet import lenet
from experiments.peers import by_onnxsim, by_torch_pruning, latency, memory, onnx_files, run
from experiments.peers.contenders import Effort, contenders

TABLE = contenders(Effort(rows=64, steps=2))
WIDTHS = ((150, 50), (60, 40), (32, 35), (1, 99))


@pytest.fixture(scope="module")
def model():
    return lenet(seed=0)


@pytest.fixture(scope="module")
def file(model):
    return onnx_files.exported(model)


@pytest.fixture
def results():
    return json.loads((HERE / "peers" / "results.json").read_text())


def widths_of(network):
    return network.fc1.out_features, network.fc2.out_features


def outputs(file, images):
    session = onnxruntime.InferenceSession(
        file.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})


def mean_change(model, small, images):
    with torch.no_grad():
        return float((model(images) - small(images)).square().mean())


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("criterion", by_torch_pruning.CRITERIA)
def test_torch_pruning_keeps_as_many_neurons_as_asked(model, criterion, widths):
    small = by_torch_pruning.prune(model, widths, criterion=criterion)
    assert widths_of(small) == widths
    assert small(torch.rand(3, 784)).shape == (3, 10)
    assert widths_of(model) == (300, 100)


def test_lamp_keeps_the_neurons_that_l2_keeps_once_the_widths_are_given(model):
    lamp, l2 = (
        by_torch_pruning.prune(model, (60, 40), criterion=name).state_dict()
        for name in ("LAMP", "L2")
    )
    assert all(torch.equal(lamp[name], l2[name]) for name in l2)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_onnxsim_keeps_the_neurons_of_largest_norm(model, file, norm, widths):
    before = file.SerializeToString()
    small = onnx_files.read(by_onnxsim.prune(file, widths, norm=norm))
    assert widths_of(small) == widths
    norms = torch.linalg.vector_norm(model.fc1.weight, ord=int(norm[1]), dim=1)
    kept = norms.topk(widths[0]).indices.sort().values
    assert torch.equal(small.fc1.weight, model.fc1.weight[kept])
    assert file.SerializeToString() == before


def test_one_layer_after_the_other_is_the_same_as_one_call_with_one_share(file):
    once = by_onnxsim.onnxsim.apply_structured_pruning(file, sparsity=0.7)
    parts = onnx_files.read(by_onnxsim.prune(file, (90, 30), norm="l2")).state_dict()
    whole = onnx_files.read(once).state_dict()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_the_refitted_network_is_nearer_to_the_original(model, file):
    images = torch.randn(500, 784, generator=torch.Generator().manual_seed(1))
    plain, refitted = (
        onnx_files.read(by_onnxsim.prune(file, (150, 50), norm="l2", rows=rows))
        for rows in (None, 1024)
    )
    assert widths_of(refitted) == (150, 50)
    assert mean_change(model, refitted, images) < 0.5 * mean_change(model, plain, images)


def test_a_file_computes_what_its_network_computes_for_any_batch(model, file):
    small = by_onnxsim.prune(file, (60, 40), norm="l1")
    for content, network in ((file, model), (small, onnx_files.read(small))):
        for batch in (1, 7):
            images = torch.rand(batch, 784)
            (found,) = outputs(content, images)
            np.testing.assert_allclose(found, network(images).detach(), atol=1e-5)


def test_only_neurons_that_no_image_can_wake_are_called_dead():
    network = lenet(seed=1)
    with torch.no_grad():
        network.fc1.bias[:7] = -1000
    assert by_onnxsim.dead_units(onnx_files.exported(network)) == 7


@pytest.mark.parametrize("name", TABLE)
def test_every_contender_prunes_and_leaves_the_original_alone(model, file, name):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    contender = TABLE[name]
    subject = file if contender.prepare is onnx_files.exported else model
    small = contender.network(contender.prune(subject, (60, 40), 0))
    assert small(torch.rand(2, 784)).shape == (2, 10)
    if name != "importance":  # its widths are expectations
        assert widths_of(small) == (60, 40)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_every_contender_has_a_row_a_colour_and_a_marker(results):
    assert list(results["libraries"]) == list(TABLE)
    rows = [
        line for line in run.table(results).splitlines() if "±" in line and line.startswith("|")
    ]
    for name in TABLE:
        (row,) = [line for line in rows if f"{name} |" in line.split("±")[0]]
        assert row.count("±") == len(results["choices"]["widths"])
        assert {name} <= figure.COLOURS.keys() & figure.MARKERS.keys()


def test_the_best_of_the_others_is_found_and_compared_pair_by_pair(results):
    for entry in results["runs"]:
        entry["error"] = {"optimal": 3.0, "onnxsim, L1": 5.0 - entry["seed"] / 10}.get(
            entry["name"], 9.0
        )
    (line,) = [line for line in run.table(results).splitlines() if line.startswith("- Widths 60")]
    assert "best of the others is onnxsim, L1; optimal errs less (-1.80, " in line


def test_what_was_not_measured_is_a_dash(results):
    results["calls"].pop("optimal")
    assert "optimal | " in run.table(results)
    assert run.table(results).count("| – | – | – |") == 1


def test_latencies_compare_every_network_with_the_first():
    networks = {"large": lenet(seed=0), "small": lenet(hidden=(3, 2), seed=0)}
    records = latency.latencies(networks, batches=(1, 64), rounds=3, seconds=0.001)
    assert [(entry["network"], entry["runtime"], entry["batch"]) for entry in records] == [
        (network, runtime, batch)
        for runtime in latency.RUNTIMES
        for batch in (1, 64)
        for network in networks
    ]
    assert all(entry["ratio"] == 1 for entry in records if entry["network"] == "large")
    assert all(entry["microseconds"] > 0 for entry in records)
    (busy,) = [
        entry for entry in records[4:] if entry["batch"] == 64 and entry["network"] == "small"
    ]
    assert busy["ratio"] < 0.7


@pytest.mark.skipif(not memory.CLEAR.exists(), reason="the peak can be restarted on Linux alone")
def test_the_peak_of_a_call_is_what_it_held_at_once():
    _, mib = memory._cost(lambda: len(bytearray(64 * 2**20)))
    assert 60 < mib < 80
    assert memory._cost(lambda: None)[1] < 4


def test_one_process_reports_both_calls(model, tmp_path, capsys):
    threads = torch.get_num_threads()
    path = tmp_path / "lenet.safetensors"
    save_file(model.state_dict(), path)
    memory.main(["torch-pruning, L2", str(path), "60", "40", "--effort", '{"rows": 8}'])
    torch.set_num_threads(threads)
    costs = json.loads(capsys.readouterr().out)
    assert set(costs) == {"first_seconds", "first_mib", "again_seconds", "again_mib"}
    assert costs["first_seconds"] > 0
