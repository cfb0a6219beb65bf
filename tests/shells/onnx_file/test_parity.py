"""An exported network has the groups that the torch shell finds in the module itself."""

import pytest
import torch
from convolutional import CONVOLUTIONAL
from networks import CASES
from shells.onnx_file.graphs import exported, lowered
from torch import nn

from coreprune.graph.groups import passengers_of
from coreprune.graph.layer import layer_of
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.subject import prepare

DENSE = (
    "LeakyReLU(-0.3)", "ReLU6", "GELU", "GELU(tanh)", "Hardswish", "step at", "clamp to 6",
    "scale and shift", "permute", "PReLU a neuron", "norm after", "sequences", "called twice",
    "tied weights", "residual sum", "concatenation", "a layer norm", "LSTM", "weight norm",
)  # fmt: skip
IMAGES = (
    "normalised channels", "pools", "channels padded", "volumes", "channels flattened", "one place",
    "two readers", "a channel gate", "a residual block", "convolutions in parts",
    "transposed convolutions", "instance normalisation",
)  # fmt: skip
NETWORKS = {
    **{name: CASES[name] for name in DENSE},
    **{name: CONVOLUTIONAL[name] for name in IMAGES},
}
FOLDED = {"norm after", "normalised channels", "a channel gate", "a residual block"}
"""Where the exporter puts a normalisation into the layer before it."""


def described(graph):
    """The groups without the names of their layers."""
    found, grid = [], torch.linspace(-8, 8, 65, dtype=torch.float64)[:, None]
    for group in find_groups(graph).groups:
        readers = []
        for reader in group.consumers:
            weight = graph.parameters[reader.affine.weight]
            function = layer_of(group, reader, graph.parameters).activation
            values = float(function(grid.expand(-1, group.neurons)).sum())
            kind = pytest.approx(values, rel=1e-5, abs=1e-5)
            readers.append((tuple(weight.shape), reader.taps, kind, reader.free_bias))
        weight = graph.parameters[group.producer.weight]
        passengers = len(passengers_of(group))
        found.append((group.neurons, tuple(weight.shape), len(group.gates), passengers, readers))
    return found


def same(net, args, **options):
    torch.manual_seed(0)
    own = prepare(net, args).graph
    made = lowered(exported(net, args, **options)).graph
    assert described(own)
    assert described(made) == described(own)
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_networks_have_the_same_groups(name):
    torch.manual_seed(0)
    case = NETWORKS[name]
    net = case.make().eval()
    own = described(prepare(net, case.args, example_kwargs=case.kwargs).graph)
    made = described(lowered(exported(net, case.args)).graph)
    if name in FOLDED:
        assert [one[:3] for one in made] == [one[:3] for one in own]
    else:
        assert made == own


def squeezing():
    torch.manual_seed(0)
    net = CONVOLUTIONAL["normalised channels"]
    return net.make().eval(), net.args


def test_normalisations_that_were_not_folded_ride_as_in_torch():
    net, args = squeezing()
    options = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
    same(net, args, **options)


@pytest.mark.slow  # the exporter is
@pytest.mark.parametrize(
    "make",
    [
        lambda: (nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 3)), torch.ones(4, 6)),
        lambda: (
            nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 8, 3, groups=8),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
            ),
            torch.ones(2, 3, 9, 9),
        ),
    ],
    ids=["perceptron", "image"],
)  # fmt: skip
def test_the_newer_exporter_gives_the_same_groups(make):
    net, args = make()
    same(net.eval(), (args,), dynamo=True)
