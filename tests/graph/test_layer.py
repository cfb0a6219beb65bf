import pytest
import torch

from coreprune.core.activations import prelu, relu
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Affine, Elementwise, Norm
from coreprune.graph.layer import layer_of

A = Affine(name="a", input="x", output="h", weight="a.weight", bias="a.bias")
B = Affine(name="b", input="g", output="y", weight="b.weight")
RELU = Elementwise(name="r", input="h", output="g", build=relu)
SLOPES = Elementwise(name="s", input="h", output="g", build=prelu, parameters=("s.weight",))
NORM = Norm(
    name="n", input="h", output="g", mean="mean", variance="var", weight="n.w", bias="n.b", eps=1.0
)
PLAIN = Norm(name="p", input="h", output="g", mean="mean", variance="var", eps=1.0)
X = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
PARAMETERS = {
    "a.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0]]),
    "a.bias": torch.tensor([1.0, -2.0, 3.0]),
    "b.weight": torch.tensor([[1.0, 0.0, -1.0]]),
    "s.weight": torch.tensor([0.1, -0.2, 0.3]),
    "mean": torch.tensor([1.0, 2.0, 3.0]),
    "var": torch.tensor([0.0, 3.0, 8.0]),
    "n.w": torch.tensor([1.0, 2.0, -3.0]),
    "n.b": torch.tensor([0.5, 0.0, -0.5]),
}
H = X @ PARAMETERS["a.weight"].T + PARAMETERS["a.bias"]
STANDARD = (H - PARAMETERS["mean"]) / torch.tensor([1.0, 2.0, 3.0])
NORMED = STANDARD * PARAMETERS["n.w"] + PARAMETERS["n.b"]


@pytest.mark.parametrize(
    ("passengers", "expected"),
    [
        ((), H),
        ((RELU,), H.relu()),
        ((SLOPES,), torch.where(H > 0, H, H * PARAMETERS["s.weight"])),
        ((NORM, RELU), NORMED.relu()),
        ((PLAIN, RELU), STANDARD.relu()),
        ((PLAIN, NORM), (STANDARD - PARAMETERS["mean"]) / torch.tensor([1.0, 2.0, 3.0])
         * PARAMETERS["n.w"] + PARAMETERS["n.b"]),
        ((RELU, PLAIN), (H.relu() - PARAMETERS["mean"]) / torch.tensor([1.0, 2.0, 3.0])),
    ],
)  # fmt: skip
def test_a_layer_gives_what_its_consumer_reads(passengers, expected):
    consumer = Consumer(affine=B, passengers=passengers)
    layer = layer_of(Group(producer=A, consumers=(consumer,), neurons=3), consumer, PARAMETERS)
    values = layer.activation(X.double() @ layer.points.double().T + layer.bias.double())
    torch.testing.assert_close(values, expected.double())
    assert layer.weights is PARAMETERS["b.weight"]


def test_a_leading_norm_is_folded_into_the_points():
    consumer = Consumer(affine=B, passengers=(NORM,))
    layer = layer_of(Group(producer=A, consumers=(consumer,), neurons=3), consumer, PARAMETERS)
    assert layer.activation.name == "identity"
    assert layer.points[2].tolist() == [5.0, -6.0]


def test_without_a_bias_it_is_zero():
    producer = Affine(name="a", input="x", output="h", weight="a.weight")
    consumer = Consumer(affine=B, passengers=())
    layer = layer_of(
        Group(producer=producer, consumers=(consumer,), neurons=3), consumer, PARAMETERS
    )
    assert layer.bias.tolist() == [0.0, 0.0, 0.0]


def test_a_leading_normalisation_tells_what_it_has_seen():
    """After it, over its data, the mean is its bias and the variance is its weight squared."""
    consumer = Consumer(affine=B, passengers=(NORM,))
    layer = layer_of(Group(producer=A, consumers=(consumer,), neurons=3), consumer, PARAMETERS)
    mean, variance = layer.seen
    seen = PARAMETERS["var"].double()
    torch.testing.assert_close(mean, PARAMETERS["n.b"].double())
    torch.testing.assert_close(variance, PARAMETERS["n.w"].double() ** 2 * seen / (seen + 1.0))
