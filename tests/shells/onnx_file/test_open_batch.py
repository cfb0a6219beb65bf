import numpy as np
import pytest
import torch
from shells.onnx_file.graphs import document, exported, node, numbers, perceptron, whole

from coreprune.graph.ir import Affine
from coreprune.shells.onnx_file.open_batch import with_open_batch
from coreprune.shells.onnx_file.session import outputs
from coreprune.shells.onnx_file.subject import open_file

ROW = {"x": numbers(1, 6)}


def made(*nodes, shape=(1, 6), gives=("a", "b"), **tensors):
    return document(list(nodes), {"x": shape}, {"y": gives}, tensors)


def test_a_file_for_one_example_takes_many_at_once():
    one = exported(perceptron(6, 9, 3), (torch.zeros(1, 6),), input_names=["x"])
    opened = with_open_batch(one, ROW)
    rows = numbers(5, 6)
    (found,) = outputs(opened, {"x": rows}).values()
    each = [next(iter(outputs(one, {"x": row[None]}).values())) for row in rows]
    np.testing.assert_allclose(found, np.concatenate(each), rtol=1e-5, atol=1e-6)
    assert [size.dim_value for size in one.model.graph.input[0].type.tensor_type.shape.dim] == [
        1,
        6,
    ]


@pytest.mark.parametrize(
    "one",
    [
        made(node("Softmax", "x", "y", axis=0)),
        made(node("ReduceSum", "x", "y", keepdims=0), gives=()),
        made(node("Reshape", "x s", "y"), s=whole(1, -1)),
        made(node("Reshape", "x s", "y"), gives=("a",), s=whole(6)),
        made(node("CumSum", "x zero", "y"), zero=np.array(0)),
    ],
    ids=["over the batch", "no batch left", "one row", "six entries", "sums along the batch"],
)
def test_what_many_at_once_would_change_stays_as_it_is(one):
    assert with_open_batch(one, ROW) is one


def test_an_open_batch_is_left_alone_and_a_wrong_example_too():
    assert with_open_batch(two := made(node("Relu", "x", "y"), shape=("n", 6)), ROW) is two
    assert with_open_batch(three := made(node("Relu", "x", "y")), {"x": numbers(1, 5)}) is three


def test_queries_run_in_large_batches_whatever_the_file_declares():
    one = exported(perceptron(6, 9, 3), (torch.zeros(1, 6),), input_names=["x"])
    subject = open_file(one, torch.ones(1, 6))
    seen = []
    weights = [n.weight for n in subject.graph.nodes if isinstance(n, Affine)]
    call = subject.call.with_tensor(torch.ones(300, 6))
    subject.read(call, weights, lambda _, rows: seen.append(rows.shape))
    assert seen == [(300, 6), (300, 9)]
    halves = {name: tensor / 2 for name, tensor in subject.graph.parameters.items()}
    (found,) = subject.with_tensors(halves).run(call).values()
    assert found.shape == (300, 3)
    assert next(iter(subject.norms([call], weights, windows={}).rows.values())) > 0
