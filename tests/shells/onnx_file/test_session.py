import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import between, document, exported, lowered, node, numbers
from torch import nn

from coreprune.errors import ArgumentError
from coreprune.graph.ir import Affine, Convolution
from coreprune.shells.moves import Moves
from coreprune.shells.onnx_file.examples import example_inputs
from coreprune.shells.onnx_file.layer_inputs import largest_input_norms, read_by
from coreprune.shells.onnx_file.session import outputs, values
from coreprune.shells.patches import patches

MOVES = Moves(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1))


def perceptron():
    return between(node("Relu", "h", "z"), width=8)


def batches(*sizes):
    return [{"x": numbers(size, 5, seed=size)} for size in sizes]


def test_intermediate_values_come_batch_by_batch():
    made = perceptron()
    found = list(values(made, ["x", "z"], batches(3, 4)))
    for batch, own in zip(batches(3, 4), found, strict=True):
        wanted = np.maximum(batch["x"] @ numbers(8, 5).T + numbers(8), 0)
        np.testing.assert_allclose(own["z"].numpy(), wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(own["x"].numpy(), batch["x"])
    assert [entry.name for entry in made.model.graph.output] == ["y"]


def test_inputs_alone_need_no_session():
    (found,) = values(perceptron(), ["x"], batches(2))
    assert found.keys() == {"x"}


def test_outputs_can_be_asked_for_beside_what_is_inside():
    (found,) = values(perceptron(), ["y", "h"], batches(2))
    assert {name: tuple(one.shape) for name, one in found.items()} == {"y": (2, 3), "h": (2, 8)}


def test_inputs_that_do_not_fit_are_refused_with_their_shapes():
    with pytest.raises(ArgumentError, match=r"must run through the model.*got x \(2, 6\)"):
        outputs(perceptron(), {"x": numbers(2, 6)})


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_layers_read_what_they_read_in_torch(dynamo):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(64, 5),
    )  # fmt: skip
    x = torch.randn(2, 3, 8, 8)
    made = exported(net, (x,), dynamo=dynamo)
    layers = [one for one in lowered(made).graph.nodes if isinstance(one, Affine | Convolution)]
    batch = {name: x.numpy() for name in example_inputs(made)}
    (found,) = values(made, [name for one in layers for name in (one.input, one.output)], [batch])
    read = {layer.weight: read_by(layer, found[layer.input]) for layer in layers}
    with torch.no_grad():
        before, after = net[:2](x), net[:5](x)
        torch.testing.assert_close(read[layers[1].weight], patches(before, MOVES))
        torch.testing.assert_close(read[layers[2].weight], after)
        torch.testing.assert_close(found[layers[2].output], net(x), rtol=1e-4, atol=1e-5)
    norms = largest_input_norms(
        made, layers, [batch], windows={layers[1].weight: (5, 5), layers[0].weight: (8, 8)}
    )
    largest = patches(before, MOVES).norm(dim=1).max()
    assert norms.rows[layers[1].weight] == pytest.approx(float(largest), rel=1e-5)
    whole_image = x.flatten(1).norm(dim=1).max()
    assert norms.windows[layers[0].weight] == pytest.approx(float(whole_image), rel=1e-5)


def test_half_precision_runs():
    tensors = {"w": numbers(5, 3, dtype=np.float16)}
    made = document([node("MatMul", "x w", "y")], {"x": (2, 5)}, {"y": (2, 3)}, tensors, kind=10)
    found = outputs(made, example_inputs(made))["y"]
    assert (found.dtype, found.shape) == (np.float16, (2, 3))
