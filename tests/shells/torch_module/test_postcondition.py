"""The check must fail: every wrong cut that it is there for is made and must be reported."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from networks import CASES, Forward, draw, named, trained_norm
from torch import nn

from coreprune.graph.cut import Cut, columns_of, shrink, widen
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.postcondition import violation
from coreprune.shells.torch_module.subject import prepare

KEPT = torch.tensor([1, 4, 5, 9])


def check(model, *args, spoil=None, kwargs=None):
    """Cut the first group, spoil the outcome, and ask."""
    subject = prepare(model, args, example_kwargs=kwargs)
    group = find_groups(subject.graph).groups[0]
    parameters = subject.graph.parameters
    weights = tuple(2 * parameters[c.affine.weight][:, KEPT] for c in group.consumers)
    cut = Cut(group=group, indices=KEPT, weights=weights)
    small = shrink(parameters, cut)
    wide = dict(widen(small, parameters, [cut]))
    if spoil is not None:
        name, change = spoil
        small[name] = change(small[name])
    return violation(
        subject.working, subject.call, small=small, wide=wide, columns=columns_of(group)
    )


def normed():
    torch.manual_seed(0)
    return named(a=nn.Linear(6, 12), n=trained_norm(12), r=nn.ReLU(), b=nn.Linear(12, 3))


def test_a_right_cut_passes():
    assert check(normed(), draw(4, 6)) is None


@pytest.mark.parametrize(
    "spoil",
    [
        ("a.bias", lambda b: b.flip(0)),
        ("a.bias", torch.zeros_like),
        ("a.weight", lambda w: w.flip(0)),
        ("b.weight", lambda w: w.flip(1)),
        ("b.weight", lambda w: w / 2),
        ("b.bias", lambda b: b + 0.1),
        ("n.running_mean", lambda m: m.flip(0)),
        ("n.running_var", torch.ones_like),
        ("n.weight", lambda w: w.flip(0)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wrong_tensors_are_reported(spoil, dtype):
    reason = check(normed().to(dtype), draw(4, 6).to(dtype), spoil=spoil)
    assert reason == "cutting it changes more than its own neurons"


def test_a_wrong_width_is_reported():
    reason = check(normed(), draw(4, 6), spoil=("b.weight", lambda w: w[:, :3]))
    assert "its width is fixed somewhere in the model's code" in reason


def test_half_precision_is_compared_with_its_own_slack():
    model, x = normed().bfloat16(), draw(4, 6).bfloat16()
    assert check(model, x) is None
    assert check(model, x, spoil=("b.weight", lambda w: -w)) is not None


@pytest.mark.parametrize("offset", [0.0, 1.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_response_of_the_wrong_size_is_reported_whatever_the_offset(dtype, offset):
    net = Forward(
        lambda m, x: m.b(m.a(x).relu() / m.a(x).shape[-1]), a=nn.Linear(6, 12), b=nn.Linear(12, 3)
    )
    with torch.no_grad():
        net.b.bias.fill_(offset)
    assert check(net.to(dtype), draw(4, 6).to(dtype)) is not None


@pytest.mark.parametrize("inner", [torch.float32, torch.bfloat16])
def test_types_inside_the_model_count(inner):
    net = Forward(
        lambda m, x: m.b(m.a(x).relu().to(inner).to(x.dtype)),
        a=nn.Linear(6, 60),
        b=nn.Linear(60, 3),
    )
    rounded = Forward(
        lambda m, x: m.b(m.a(x).relu()).to(inner).cumsum(0).to(x.dtype),
        a=nn.Linear(6, 60),
        b=nn.Linear(60, 3),
    )
    assert check(net, draw(4, 6)) is None
    assert check(rounded, draw(4, 6)) is None


def test_a_model_that_cannot_be_doubled_is_compared_in_its_own_type():
    net = Forward(lambda m, x: m.b(m.a(x.float()).relu()), a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    assert check(net, draw(4, 6)) is None
    assert check(net, draw(4, 6), spoil=("b.weight", lambda w: 1.1 * w)) is not None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: y.double(),
        lambda y: torch.complex(y, -y),
        lambda y: (y.sum().item(), y.argmax(1), "name"),
        lambda y: {"a": [y, None]},
        lambda y: y.masked_fill(torch.eye(*y.shape, dtype=torch.bool), -torch.inf),
    ],
    ids=["double", "complex tensor", "numbers", "nested", "infinite"],
)
def test_outputs_of_every_kind_are_compared(wrap):
    torch.manual_seed(0)
    net = Forward(lambda m, x: wrap(m.b(m.a(x).relu())), a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    assert check(net, draw(4, 6)) is None
    assert check(net, draw(4, 6), spoil=("b.weight", lambda w: w + 1)) is not None


@dataclasses.dataclass(slots=True)
class Output:
    logits: object
    features: object


@pytest.mark.parametrize(
    "wrap",
    [
        Output,
        lambda y, z: SimpleNamespace(logits=y, features=z),
        lambda y, z: [SimpleNamespace(inner=Output(y, [z]))],
        lambda y, z: (y, torch.distributions.Normal(z, 1.0)),
        lambda y, z: (y, int(z.sum() * 1e3)),
        lambda y, z: (y, str(z)),
        lambda y, z: (y, bool(z.sum() > 0.51 * 12 * 4)),
    ],
    ids=["dataclass", "object", "nested", "distribution", "int", "str", "bool"],
)
def test_what_objects_hold_is_compared(wrap):
    def forward(net, x):
        return wrap(net.b(net.a(x).relu()), net.a(x).relu() + 0.5)

    net = Forward(lambda m, x: m.b(m.a(x).relu()), a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    subject = prepare(net, (draw(4, 6),))
    group = find_groups(subject.graph).groups[0]
    weights = (subject.graph.parameters["b.weight"][:, KEPT],)
    cut = Cut(group=group, indices=KEPT, weights=weights)
    small = shrink(subject.graph.parameters, cut)
    wide = widen(small, subject.graph.parameters, [cut])
    sides = {"small": small, "wide": wide, "columns": columns_of(group)}
    assert violation(subject.working, subject.call, **sides) is None
    subject.working.written = forward
    assert violation(subject.working, subject.call, **sides) is not None
    subject.working.written = lambda m, x: wrap(m.b(m.a(x).relu()), m.b(m.a(x).relu()))
    assert violation(subject.working, subject.call, **sides) is None


@pytest.mark.parametrize("strange", [object(), {1}, len, b"x"])
def test_what_cannot_be_compared_is_reported(strange):
    net = Forward(
        lambda m, x: (m.b(m.a(x).relu()), strange), a=nn.Linear(6, 12), b=nn.Linear(12, 3)
    )
    subject = prepare(named(a=net.a, r=nn.ReLU(), b=net.b), (draw(4, 6),))
    parameters = dict(subject.graph.parameters)
    working = Forward(net.written, a=net.a, b=net.b).eval()
    reason = violation(working, subject.call, small=parameters, wide=parameters, columns=())
    assert reason == f"its output is a {type(strange).__name__}, which cannot be compared"


def test_the_other_batch_size_counts():
    def forward(net, x):
        return net.b(net.a(x).relu()) * (1 if len(x) == 4 else net.b.weight.sum())

    net = Forward(forward, a=nn.Linear(6, 12), b=nn.Linear(12, 3))
    assert check(net, draw(4, 6), spoil=("a.bias", lambda b: b)) is None
    hidden = Forward(
        lambda m, x: m.b(m.a(x).relu() if len(x) == 4 else m.a(x).relu().view(-1, 12)),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
    )
    assert "its width is fixed" in check(hidden, draw(4, 6))


@pytest.mark.parametrize("name", ["read in training only", "leaving in training only"])
def test_branches_of_training_count(name):
    case = CASES[name]
    assert "training" in check(case.make(), *case.args)


def trained(change, *dropout):
    """Networks that add something to the output in training, after dropout layers."""

    def forward(net, x):
        h = net.drop(net.a(x).relu())
        return change(net.b(h), h) if net.training else net.b(h)

    return Forward(forward, a=nn.Linear(6, 12), drop=nn.Sequential(*dropout), b=nn.Linear(12, 3))


@pytest.mark.parametrize(
    "dropout", [(), (nn.Dropout(0.5),), (nn.AlphaDropout(0.2),)], ids=["none", "plain", "alpha"]
)
def test_values_that_only_training_gives_count(dropout):
    leak = trained(lambda o, h: o + h.mean(), *dropout)
    assert check(leak, draw(4, 6)) == "its output leaves the network in training"
    assert check(trained(lambda o, _: 2 * o, *dropout), draw(4, 6)) is None


def test_random_values_in_training_are_compared_by_shape():
    assert check(trained(lambda o, _: o + torch.rand_like(o)), draw(4, 6)) is None
    functional = trained(lambda o, _: nn.functional.dropout(o, 0.5))
    assert check(functional, draw(4, 6)) is None
