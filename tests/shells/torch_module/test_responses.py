"""The outputs' metric against explicit Jacobians."""

import pytest
import torch
from networks import Forward, draw, mlp, named
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.responses import output_metrics
from coreprune.shells.torch_module.tensors import tensors_of

REPEATS = 3000
"""Each entry of an estimate from so many cotangents strays by at most 5 √(2 · 3 / 3000) M."""


def metrics(model, *inputs, names, seed=0, repeats=REPEATS):
    tensors = tensors_of(model)
    weights = {name: tensors[name] for name in names}
    calls = [Call(args=(x,)) for x in inputs] * repeats
    return output_metrics(model.eval(), calls, weights, seed=seed)


def many(model, x, *, names, seed=0):
    """One call of many equal examples: as many cotangents."""
    return metrics(model, x.repeat(REPEATS, *[1] * (x.ndim - 1)), names=names, seed=seed, repeats=1)


def explicit(rest, given):
    """E over examples of Σ_rows JᵀJ, for `rest` from what a layer gives to all outputs."""
    total = 0
    for row in given:
        jacobian = torch.func.jacrev(lambda z: rest(z[None]).flatten())(row.double())
        flat = jacobian.flatten(0, 0).reshape(len(jacobian), -1, row.shape[-1])
        total = total + torch.einsum("ori,orj->ij", flat, flat)
    return (total / len(given)).detach()


def assert_near(found, expected):
    """Within a twelfth of the largest entry: more than five standard errors."""
    largest = float(expected.abs().max())
    assert largest > 0
    torch.testing.assert_close(found, expected, atol=largest / 12, rtol=0)


def test_the_metric_is_that_of_the_jacobians():
    torch.manual_seed(0)
    net, x = mlp(6, 7, 5, 3, act=nn.Tanh), draw(3, 6)
    found = many(net, x, names=["0.weight", "2.weight", "4.weight"])
    deep = net.double()
    with torch.no_grad():
        first = deep[0](x.double())
        second = deep[2](deep[1](first))
    assert_near(found["0.weight"], explicit(deep[1:], first))
    assert_near(found["2.weight"], explicit(deep[3:], second))
    assert_near(found["4.weight"], torch.eye(3).double())


def test_the_network_without_a_rest_is_the_identity():
    found = many(mlp(6, 12, 3), draw(4, 6), names=["2.weight"])["2.weight"]
    assert_near(found, torch.eye(3).double())


def test_rows_of_a_sequence_add_up():
    torch.manual_seed(0)
    net = Forward(lambda m, x: m.b(m.a(x).tanh()).sum(1), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    x = draw(2, 5, 6)
    found = many(net, x, names=["a.weight", "b.weight"])
    net = net.double()
    with torch.no_grad():
        given = net.a(x.double())
    assert_near(found["a.weight"], explicit(lambda z: net.b(z.tanh()).sum(1), given))
    assert_near(found["b.weight"], 5 * torch.eye(2).double())


IN_PLACE = {
    "relu_": F.relu_,
    "tensor.relu_": lambda h: h.relu_(),
    "mul_": lambda h: h.mul_(2),
    "copy_": lambda h: h.copy_(h.tanh()),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_is_written_into_after_the_layer_counts_after_it(name):
    """The derivative is by what the layer gave, not by what became of it."""
    torch.manual_seed(0)
    net = Forward(lambda m, x: m.b(IN_PLACE[name](m.a(x))), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    x = draw(3, 6)
    found = many(net, x, names=["a.weight"])["a.weight"]
    net = net.double()
    with torch.no_grad():
        given = net.a(x.double())
    assert_near(found, explicit(lambda z: net.b(IN_PLACE[name](z.clone())), given))


def test_in_place_modules_as_well():
    torch.manual_seed(0)
    plain = named(a=nn.Linear(6, 5), r=nn.ReLU(), b=nn.Linear(5, 2))
    writing = named(a=plain.a, r=nn.ReLU(inplace=True), b=plain.b)
    one, other = (
        metrics(net, draw(3, 6), names=["a.weight"], repeats=2)["a.weight"]
        for net in (plain, writing)
    )
    assert torch.equal(one, other)


def test_frozen_parameters_and_those_without_gradient_count_alike():
    net = mlp(6, 12, 3)
    free = metrics(net, draw(4, 6), names=["0.weight", "2.weight"], repeats=2)
    net.requires_grad_(False)
    frozen = metrics(net, draw(4, 6), names=["0.weight", "2.weight"], repeats=2)
    for name, metric in free.items():
        assert torch.equal(metric, frozen[name])
        assert metric.any()


def test_a_layer_that_outputs_do_not_depend_on_has_none():
    net = Forward(
        lambda m, x: (m.b(m.a(x).relu()), m.c(x).detach()),
        a=nn.Linear(6, 12),
        b=nn.Linear(12, 3),
        c=nn.Linear(6, 2),
        d=nn.Linear(6, 2),
    )
    found = metrics(net, draw(4, 6), names=["b.weight", "c.weight", "d.weight"], repeats=1)
    assert found["b.weight"].any()
    assert not found["c.weight"].any()
    assert not found["d.weight"].any()


@pytest.mark.parametrize(
    "last",
    [lambda z: (z > 0).float(), lambda z: z.argmax(1), lambda z: z.sum().item()],
    ids=["step", "class", "number"],
)
def test_outputs_without_derivatives_give_zeros(last):
    net = Forward(lambda m, x: last(m.n(x)), n=mlp(6, 12, 3))
    assert not metrics(net, draw(4, 6), names=["n.2.weight"], repeats=1)["n.2.weight"].any()


def test_all_outputs_count():
    net = Forward(lambda m, x: {"one": m.b(x), "rest": (2 * m.b(x), 7, "words")}, b=nn.Linear(6, 3))
    assert_near(many(net, draw(4, 6), names=["b.weight"])["b.weight"], torch.eye(3).double() * 5)


def test_the_seed_decides_and_nothing_is_left_behind():
    net = mlp(6, 12, 3)
    state = torch.get_rng_state()
    one, again, other = (
        metrics(net, draw(4, 6), names=["0.weight"], seed=s, repeats=1)["0.weight"]
        for s in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in net.parameters())


def test_half_precision_sums_in_float64():
    found = metrics(mlp(6, 12, 3).half(), draw(4, 6).half(), names=["0.weight"], repeats=1)
    assert found["0.weight"].dtype == torch.float64
    assert found["0.weight"].isfinite().all()
