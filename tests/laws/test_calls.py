"""Calls with inputs drawn from a law."""

import itertools

import pytest
import torch
from networks import Forward, draw, mlp, named
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)
from torch.utils.data import DataLoader, TensorDataset

from coreprune import (
    ArgumentError,
    Ball,
    Box,
    DeadLeaves,
    Gaussian,
    Impressions,
    Samples,
    Sphere,
    prune,
)
from coreprune.graph.inputs import first_points, input_values
from coreprune.laws.calls import MOST, SHARING, calls_of, drawn, only_input
from coreprune.shells.calls import Call, batch_size
from coreprune.shells.torch_module.subject import prepare

LAWS = {
    "ball": Ball(2.0),
    "box": Box(-1.0, 1.0),
    "dead leaves": DeadLeaves(),
    "gaussian": Gaussian(),
    "impressions": Impressions(),
    "sphere": Sphere(2.0),
}


def first(law, subject, count=2, seed=0):
    return list(itertools.islice(calls_of(law, subject, seed=seed), count))


@pytest.mark.parametrize("name", LAWS)
def test_the_seed_decides(name):
    subject = prepare(mlp(6, 12, 3), draw(4, 6))
    one, again, other = (
        [call.args[0] for call in first(LAWS[name], subject, seed=s)] for s in (3, 3, 4)
    )
    assert all(map(torch.equal, one, again))
    assert not any(map(torch.equal, one, other))
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_queries_come_in_large_batches_of_the_examples_type(name, dtype):
    subject = prepare(mlp(6, 12, 3).to(dtype), draw(4, 6).to(dtype))
    for call in first(LAWS[name], subject):
        assert call.args[0].shape == (MOST, 6)
        assert call.args[0].dtype == dtype


@pytest.mark.parametrize("name", LAWS)
def test_a_model_of_a_fixed_batch_gets_its_own_size(name):
    net = Forward(
        lambda m, x: m.b(m.a(x.view(4, 6)).relu()), a=nn.Linear(6, 12), b=nn.Linear(12, 3)
    )
    subject = prepare(net, draw(4, 6))
    assert [batch_size(call) for call in first(LAWS[name], subject)] == [4, 4]


@pytest.mark.parametrize("name", LAWS)
def test_a_model_that_gives_fewer_rows_than_it_gets_is_asked_all_the_same(name):
    net = Forward(lambda m, x: m.b(m.a(x).relu())[:4], a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    assert first(LAWS[name], prepare(net, draw(4, 6)), count=1)[0].args[0].isfinite().all()


@pytest.mark.parametrize("law", [Gaussian(), Impressions()])
def test_every_input_of_several_is_drawn_in_its_shape(law):
    net = Forward(
        lambda m, x, y, s, z, *, k: (
            m.b(m.a(x * s).relu()) + m.d(y).relu() @ m.e.weight + z.sum() + k
        ),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
        d=nn.Linear(2, 5),
        e=nn.Linear(3, 5),
    )
    args = draw(4, 6), draw(4, 2), torch.tensor(2.0), torch.arange(4)
    subject = prepare(net, args, example_kwargs={"k": torch.ones(3)})
    (call,) = first(law, subject, count=1)
    shapes = [tuple(leaf.shape) for leaf in call.tensors()]
    assert shapes == [(4, 6), (4, 2), (), (4,), (3,)]
    assert torch.equal(call.args[3], torch.arange(4))  # integers stay
    assert not torch.equal(call.args[0], args[0])


def test_drawn_stops_with_enough_examples():
    subject = prepare(mlp(6, 12, 3), draw(4, 6))
    assert len(list(drawn(Gaussian(), subject, seed=0, examples=MOST))) == 1
    assert len(list(drawn(Gaussian(), subject, seed=0, examples=MOST + 1))) == 2
    samples = Samples(draw(600, 6))
    assert len(list(drawn(samples, subject, seed=0, examples=10**9))) == 3
    assert len(list(drawn(samples, subject, seed=0, examples=300))) == 2


def test_samples_come_as_calls_without_their_labels():
    x = draw(10, 6).double()
    loader = DataLoader(TensorDataset(x, torch.arange(10)), batch_size=4)
    subject = prepare(mlp(6, 12, 3), x.float())
    found = [call.args for call in calls_of(Samples(loader), subject, seed=0)]
    assert torch.equal(torch.cat([args[0] for args in found]), x.float())
    assert all(len(args) == 1 for args in found)


def test_samples_that_do_not_run_say_which_shapes_would():
    subject = prepare(mlp(6, 12, 3), draw(4, 6))
    with pytest.raises(ArgumentError, match=r"got \(9, 5\), the example has \(4, 6\)"):
        list(calls_of(Samples(draw(9, 5)), subject, seed=0))


@pytest.mark.parametrize(
    ("net", "args"),
    [
        (mlp(6, 12, 3), (draw(6),)),
        (named(e=nn.Embedding(5, 6), n=mlp(6, 12, 3)), (torch.tensor([1, 2]),)),
        (Forward(lambda m, x, y: m.n(x + y), n=mlp(6, 12, 3)), (draw(4, 6), draw(4, 6))),
    ],
    ids=["no batch axis", "integers", "two"],
)  # fmt: skip
def test_impressions_of_networks_with_other_inputs_are_plain_noise(net, args):
    subject = prepare(net, args)
    assert only_input(subject.call) is None
    (call,) = first(Impressions(deviation=2.0), subject, count=1)
    if len(args) == 1:
        assert call.tensors()[0].shape == args[0].shape
    else:  # several inputs with one batch axis come in large batches
        assert [tuple(t.shape) for t in call.tensors()] == [(MOST, 6)] * 2


@pytest.mark.parametrize("name", LAWS)
def test_every_law_prunes(name):
    result = prune(mlp(6, 12, 3), draw(4, 6), keep=0.75, queries=LAWS[name])
    assert result.measured_error < result.output_spread


def confidence(model, x):
    """How sure the model is of x or −x: the last factor of a query may turn its sign."""
    x = F.normalize(x) * x.shape[1] ** 0.5
    surest = [F.softmax(model(side), dim=1).amax(1) for side in (x, -x)]
    return torch.maximum(*surest).mean().item()


def test_impressions_raise_the_confidence_of_a_classifier():
    """One class a query, the same at every step; noise of the same shape is less sure."""
    torch.manual_seed(0)
    net = mlp(20, 40, 10).requires_grad_(False)
    net[2].weight.mul_(4)
    subject = prepare(net, draw(4, 20))
    levels = []
    for steps in (0, 5, 20):
        law = Impressions(steps=steps)
        x = torch.cat([call.args[0] for call in first(law, subject, count=4)])
        levels.append(confidence(net, x))
    assert levels[0] < levels[1]
    assert levels[0] + 0.15 < levels[2]


def test_each_query_has_one_class_at_every_step_and_batches_have_others():
    seen = []

    class Watched(Impressions):
        """Asks for the conviction of the same queries again and again."""

        def sample(self, shape, *, conviction, **_):
            x = torch.ones(shape)
            seen.append([conviction(x).detach() for _ in range(3)])
            return x

    subject = prepare(mlp(6, 12, 10), draw(4, 6))
    first(Watched(), subject, count=2)
    for levels in seen:
        assert torch.equal(levels[0], levels[1])
        assert torch.equal(levels[0], levels[2])
        assert len(levels[0].unique()) > 1
    assert not torch.equal(seen[0][0], seen[1][0])


def test_outputs_without_derivatives_leave_the_noise_as_it_is():
    net = Forward(
        lambda m, x: (m.b(m.a(x).relu()) > 0).float(), a=nn.Linear(6, 12), b=nn.Linear(12, 3)
    )
    subject = prepare(net, draw(4, 6))
    moved, still = (
        first(Impressions(steps=steps), subject, count=1)[0].args[0] for steps in (5, 0)
    )
    assert torch.equal(moved, still)


def test_first_points_are_the_weights_that_read_the_input():
    net = Forward(
        lambda m, x: m.b(m.a(x.flatten(1)).relu()) + m.c(x.view(-1, 6)),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
        c=nn.Linear(6, 3),
    )
    subject = prepare(net, draw(4, 2, 3))
    assert torch.equal(first_points(subject.graph), torch.cat([net.a.weight, net.c.weight]))
    assert all(len(subject.graph.shapes[name]) == 2 for name in input_values(subject.graph))


@pytest.mark.parametrize(
    ("net", "args"),
    [
        (named(c=nn.Conv2d(1, 2, 3), f=nn.Flatten(), m=mlp(32, 12, 3)), (draw(4, 1, 6, 6),)),
        (mlp(6, 12, 3), (draw(4, 5, 6),)),
        (Forward(lambda m, x: m.n(2 * x), n=mlp(6, 12, 3)), (draw(4, 6),)),
    ],
    ids=["convolution", "sequence", "scaled"],
)
def test_there_are_none_when_no_layer_reads_it_as_it_is(net, args):
    assert first_points(prepare(net, args).graph) is None


@pytest.mark.parametrize(
    ("args", "known"),
    [
        ((draw(4, 6),), True),
        ((draw(6),), False),
        ((torch.arange(6).view(2, 3),), False),
        ((draw(4, 6), draw(4, 6)), False),
        ((torch.zeros(0, 6),), False),
        ((draw(4, 6), "mode"), True),
        ((), False),
    ],
)
def test_the_only_input_is_a_batch_of_numbers(args, known):
    assert (only_input(Call(args=args)) is not None) is known


def test_several_inputs_with_one_batch_axis_are_drawn_in_large_batches():
    net = Forward(lambda m, u, v: m.b(m.a(torch.cat([u, v], 1)).relu()))
    net.a, net.b = nn.Linear(5, 12), nn.Linear(12, 3)
    subject = prepare(net, (torch.randn(1, 2), torch.randn(1, 3)))
    call = next(drawn(Gaussian(), subject, seed=0, examples=1))
    assert [tuple(tensor.shape) for tensor in call.args] == [(MOST, 2), (MOST, 3)]


def test_a_single_number_among_the_inputs_is_drawn_anew_for_every_few_queries():
    net = Forward(lambda m, x, t: m.b(m.a(x).relu()) * t, a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    calls = first(Gaussian(), prepare(net, (draw(4, 6), torch.tensor(2.0))))
    assert [batch_size(call) for call in calls] == [SHARING, SHARING]
    assert calls[0].args[1].shape == ()
    assert calls[0].args[1] != calls[1].args[1]
