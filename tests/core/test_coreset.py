import math

import pytest
import torch
from models import random_layer
from torch import Generator

from coreprune.core.activations import relu, tanh
from coreprune.core.coreset import METHODS, check_method, layer_coreset, neuron_coreset, select
from coreprune.core.sensitivity import sensitivities
from coreprune.errors import ArgumentError

LAYER = random_layer(6)
DEFAULTS = {"num_neurons": 3, "activation": relu(), "query_radius": 1.0}


def _cut(points=LAYER.points, weights=LAYER.weights, **changes):
    return layer_coreset(points, weights, **(DEFAULTS | {"generator": Generator()} | changes))


def _with(tensor, value):
    spoilt = tensor.clone()
    spoilt.view(-1)[2] = value
    return spoilt


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["points", "weights", "bias"])
@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_not_finite_is_named(method, name, value):
    with pytest.raises(ArgumentError, match=f"^{name} must be finite"):
        _cut(**{name: _with(getattr(LAYER, name), value)}, method=method)


@pytest.mark.parametrize("name", ["points", "weights", "bias"])
def test_a_tensor_of_integers_is_named(name):
    with pytest.raises(ArgumentError, match=rf"^{name} must have a floating-point.* torch\.int64"):
        _cut(**{name: getattr(LAYER, name).long()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": LAYER.points[:5]}, r"^points must have shape.*\(5, 3\) and \(2, 6\)"),
        ({"points": LAYER.bias}, r"^points must have shape.*\(6,\)"),
        ({"weights": LAYER.weights[0]}, r"weights shape \(k, n\), got .*\(6,\)"),
        ({"weights": LAYER.weights[:0]}, r"^weights must have at least one row.*\(0, 6\)"),
        (
            {"points": LAYER.points[:0], "weights": LAYER.weights[:, :0]},
            r"^weights must have at least one row and one column, got \(2, 0\)",
        ),
        ({"bias": LAYER.bias[:4]}, r"^bias must have shape \(6,\), got \(4,\)"),
        ({"num_neurons": 0}, r"^num_neurons must be between 1 and the layer's 6, got 0"),
        ({"num_neurons": 7}, r"^num_neurons must be between 1 and the layer's 6, got 7"),
        ({"query_radius": -1.0}, r"^query_radius must be finite and not negative, got -1\.0"),
        ({"query_radius": math.inf}, r"^query_radius must be finite .* got inf"),
        ({"query_radius": math.nan}, r"^query_radius must be finite .* got nan"),
        ({"method": "best"}, r"^method must be one of optimal, .*, got 'best'"),
    ],
)
def test_an_argument_that_breaks_its_rule_is_named_with_its_value(changes, message):
    with pytest.raises(ArgumentError, match=message):
        _cut(**changes)


def test_the_methods_are_the_names_that_are_accepted():
    for method in METHODS:
        check_method(method)
    with pytest.raises(ArgumentError, match="method must be one of"):
        check_method("")


@pytest.mark.parametrize("method", METHODS)
def test_one_output_neuron_is_a_layer_with_one_output(method):
    arguments = DEFAULTS | {"bias": LAYER.bias, "method": method}
    alone = neuron_coreset(
        LAYER.points, LAYER.weights[1], **arguments, generator=Generator().manual_seed(4)
    )
    layer = _cut(weights=LAYER.weights[1:], **arguments, generator=Generator().manual_seed(4))
    assert torch.equal(alone.indices, layer.indices)
    assert torch.equal(alone.weights, layer.weights)


def test_one_output_neuron_reads_a_vector():
    with pytest.raises(ArgumentError, match=r"^weights must have shape \(n,\).*layer_coreset"):
        neuron_coreset(LAYER.points, LAYER.weights, **DEFAULTS, generator=Generator())


def test_the_layer_s_own_sensitivities_are_used():
    arguments = {"activation": tanh(), "query_radius": 3.0, "bias": 4 * LAYER.bias}
    subset = _cut(**arguments, method="priority", generator=Generator().manual_seed(9))
    s = sensitivities(LAYER.points, LAYER.weights, **arguments)
    by_hand = select(
        "priority",
        LAYER.points,
        LAYER.weights,
        sensitivities=s,
        num_neurons=3,
        generator=Generator().manual_seed(9),
    )
    assert torch.equal(subset.indices, by_hand.indices)
    assert torch.equal(subset.weights, by_hand.weights)
