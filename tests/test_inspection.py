import json

import pytest
import torch
from network_asserts import snapshot
from networks import CASES, Forward, draw, mlp, named, trained_norm
from torch import nn

from coreprune import ArgumentError, inspect, prune


def test_layers_come_in_order_of_execution_with_what_happens_to_them():
    net = named(z=nn.Linear(6, 12), n=trained_norm(12), r=nn.ReLU(), b=nn.Linear(12, 3))
    before = snapshot(net)
    inspection = inspect(net, draw(4, 6))
    assert str(inspection).splitlines() == [
        "100.0% of 147 parameters can be reached".replace("100.0", "98.0"),
        "z: 12 neurons, read by b",
        "b: left whole: its output leaves the network",
    ]
    assert inspection.layers[0].passengers == ("n",)
    assert json.loads(json.dumps(inspection.to_json()))["parameters"] == 147
    assert snapshot(net) == before


def test_of_a_weight_that_reads_others_too_only_the_slice_can_be_reached():
    net = Forward(
        lambda net, x: net.b(torch.cat([x, net.a(x)], 1)), a=nn.Linear(6, 12), b=nn.Linear(18, 3)
    )
    inspection = inspect(net, draw(4, 6))
    assert inspection.parameters == 12 * 7 + 3 * 19
    assert inspection.reachable == (12 * 7 + 3 * 12) / inspection.parameters


def test_skipped_layers_are_listed():
    inspection = inspect(mlp(6, 12, 9, 3), draw(4, 6), skip=["2"])
    assert [(layer.name, layer.reason) for layer in inspection.layers] == [
        ("0", None),
        ("2", "named in skip"),
        ("4", "its output leaves the network"),
    ]


def test_what_cannot_be_exported_is_noted():
    case = CASES["branching"]
    inspection = inspect(case.make(), **case.example)
    assert "the model: " in inspection.notes[0]
    assert [layer.name for layer in inspection.layers if layer.neurons] == ["a.0", "b.0"]


def test_nothing_to_cut_is_no_error():
    inspection = inspect(nn.Linear(6, 3), draw(4, 6))
    assert inspection.reachable == 0
    assert inspection.layers[0].reason == "its output leaves the network"


def test_inspection_agrees_with_pruning():
    case = CASES["encoder layer"]
    inspection = inspect(case.make(), **case.example)
    result = prune(case.make(), **case.example, keep=0.5)
    listed = {layer.name: layer.reason for layer in inspection.layers}
    assert listed == {g.name: None for g in result.groups} | {
        e.name: e.reason for e in result.whole
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip": ["x"]}, "skip names x"),
        ({"example_inputs": draw(4, 5)}, "example_inputs must run"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(ArgumentError, match=words):
        inspect(mlp(6, 12, 3), **{"example_inputs": draw(4, 6)} | options)
