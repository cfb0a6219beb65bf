import numpy as np
import pytest
import torch
from networks import Forward, draw, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from coreprune import ArgumentError, Samples, prune


def batches(data, *, positional=1):
    return list(Samples(data).batches(positional=positional))


def inputs(data, *, positional=1):
    return [args for args, _ in batches(data, positional=positional)]


@pytest.mark.parametrize("data", [draw(600, 3), draw(600, 3).numpy()], ids=["tensor", "array"])
def test_rows_come_in_batches_in_their_order(data):
    found = inputs(data)
    assert [len(args) for args in found] == [1, 1, 1]
    assert torch.equal(torch.cat([x for (x,) in found]), torch.as_tensor(data))
    assert max(len(x) for (x,) in found) == 256


def test_a_loader_with_labels_gives_inputs_alone():
    x, y = draw(10, 3), torch.arange(10)
    found = inputs(DataLoader(TensorDataset(x, y), batch_size=4))
    assert [len(args) for args in found] == [1, 1, 1]
    assert torch.equal(torch.cat([batch for (batch,) in found]), x)


def test_a_loader_without_labels_gives_its_batches():
    x = draw(10, 3)
    assert torch.equal(torch.cat([b for (b,) in inputs(DataLoader(x, batch_size=4))]), x)
    wrapped = DataLoader(TensorDataset(x), batch_size=4)
    assert torch.equal(torch.cat([b for (b,) in inputs(wrapped)]), x)


def test_as_many_inputs_as_the_network_takes():
    x, y, labels = draw(8, 3), draw(8, 2), torch.arange(8)
    loader = DataLoader(TensorDataset(x, y, labels), batch_size=8)
    ((one, other),) = inputs(loader, positional=2)
    assert torch.equal(one, x)
    assert torch.equal(other, y)


def test_mappings_are_keyword_inputs():
    ((args, kwargs),) = batches([{"x": np.ones((2, 3), np.float32), "scale": 2.0}])
    assert args == ()
    assert torch.equal(kwargs["x"], torch.ones(2, 3))
    assert kwargs["scale"] == 2.0


def test_data_can_be_read_again():
    data = Samples([draw(2, 3), draw(5, 3)])
    for _ in range(2):
        assert [len(x) for (x,), _ in data.batches(positional=1)] == [2, 5]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("kind", ["tensor", "batches", "mappings", "array"])
def test_what_is_not_finite_is_refused_with_its_batch(value, kind):
    x = draw(600, 3)
    x[300, 1] = value
    data = {
        "tensor": x,
        "array": x.numpy(),
        "batches": [x[:256], (x[256:], None)],
        "mappings": [{"x": x[:256]}, {"x": x[256:]}],
    }[kind]
    with pytest.raises(ArgumentError, match="NaN or infinite entries in batch 2"):
        batches(data)


@pytest.mark.parametrize(
    "data", [[], torch.zeros(0, 3), np.zeros((0, 3)), torch.zeros(()), DataLoader([])],
    ids=["list", "no rows", "array", "no axis", "loader"],
)  # fmt: skip
def test_nothing_is_refused(data):
    with pytest.raises(ArgumentError, match="at least one"):
        batches(data)


@pytest.mark.parametrize(
    "make", [lambda: iter([1]), lambda: (x for x in [1])], ids=["iterator", "generator"]
)
def test_what_can_be_read_only_once_is_refused(make):
    with pytest.raises(ArgumentError, match="read more than once, got an iterator"):
        Samples(make())


@pytest.mark.parametrize("data", ["x.pt", b"x", {"x": torch.zeros(2, 3)}, 3.0, None])
def test_what_holds_no_batches_is_refused(data):
    with pytest.raises(ArgumentError, match="a tensor, an array or an iterable of batches"):
        Samples(data)


@pytest.mark.parametrize(
    "data", [draw(20, 5), [draw(20, 5)], [()], [{"y": draw(20, 6)}], ["words"]],
    ids=["rows", "batches", "empty batch", "another name", "words"],
)  # fmt: skip
def test_what_does_not_run_through_the_model_is_refused(data):
    with pytest.raises(ArgumentError, match=r"samples must run .*the example has \(4, 6\)"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=Samples(data))


@pytest.mark.parametrize(
    "data", [[torch.zeros(0, 6)], torch.zeros(9, 6)], ids=["empty batches", "zeros"]
)
def test_samples_that_reach_no_layer_are_named_as_queries(data):
    with pytest.raises(ArgumentError, match="queries reach 0 as zeros or not at all"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=Samples(data))


def test_a_loader_that_breaks_off_says_so_itself():
    class Broken:
        def __iter__(self):
            yield draw(4, 6)
            raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=Samples(Broken()))


def test_other_types_are_brought_to_the_models():
    samples = Samples(draw(300, 6).double().numpy())
    result = prune(mlp(6, 12, 3), draw(4, 6), keep=0.5, queries=samples)
    assert result.measured_error < result.output_spread


def test_keyword_inputs_run_beside_those_of_the_example():
    net = Forward(
        lambda m, x, *, scale=1.0, shift=0.0: m.b(m.a(x * scale + shift).relu()),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
    )
    result = prune(
        net,
        (),
        example_kwargs={"x": draw(4, 6), "scale": 2.0},
        keep=0.5,
        queries=Samples([{"x": draw(300, 6)}]),
    )
    largest = float(2 * draw(300, 6).norm(dim=1).max())
    assert result.groups[0].query_radius == pytest.approx(largest, rel=1e-5)


def test_words_tell_whose_they_are():
    assert Samples(draw(2, 3)).words == "the user's samples"
