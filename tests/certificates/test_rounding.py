"""Both networks, run as modules in the dtype of their weights, stay within every certificate."""

import copy

import pytest
import torch
from networks import Forward, mlp, named
from torch import nn

import coreprune
from coreprune import Ball, certify
from coreprune.certificates.network import network_chain
from coreprune.core.chain_rounding import chain_rounding
from coreprune.core.query_set import ball
from coreprune.graph.partition import find_groups
from coreprune.opening import network_of

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def inputs(radius, width, dtype, *, count=500):
    """On the sphere and just inside it, so that rounding to the dtype leaves none outside."""
    x = torch.randn(count, width, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (0.98 * radius * x / x.norm(dim=1, keepdim=True)).to(dtype)


def moved(one, other, x):
    with torch.no_grad():
        return (one.eval()(x).double() - other.eval()(x).double()).abs().amax(0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh, nn.Softplus])
@pytest.mark.parametrize("widths", [(5, 12, 3), (5, 12, 8, 3), (5, 9, 9, 9, 2)], ids=str)
def test_no_input_of_the_dtype_beats_a_certificate(widths, act, dtype):
    torch.manual_seed(0)
    net = mlp(*widths, act=act).to(dtype)
    example = torch.full((1, 5), 2 / 5**0.5, dtype=dtype)
    result = coreprune.prune(net, example, keep=0.9, queries=coreprune.Gaussian())
    found = certify(net, result.model, Ball(2.0), effort=0.0)
    change = moved(net, result.model, inputs(2.0, 5, dtype))
    assert (change <= found.certificate).all()
    assert change.max() <= result.certificate
    assert found.precision == str(dtype).removeprefix("torch.")


def permuted(net, order):
    """The same function, its first hidden neurons in another order."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[0].weight.copy_(net[0].weight[order])
        other[0].bias.copy_(net[0].bias[order])
        other[2].weight.copy_(net[2].weight[:, order])
    return other


@pytest.mark.parametrize("widths", [(20, 400, 3), (20, 400, 40, 3)], ids=str)
def test_what_is_equal_but_for_rounding_is_covered_by_the_slack_alone(widths):
    torch.manual_seed(0)
    net = mlp(*widths)
    other = permuted(net, torch.randperm(400, generator=torch.Generator().manual_seed(0)))
    found = certify(net, other, Ball(5.0), effort=0.0)
    change = moved(net, other, inputs(5.0, 20, torch.float32))
    assert (change <= found.certificate).all()
    assert (change > found.certificate - found.rounding).all()


def test_merged_duplicates_are_covered_by_the_slack_alone():
    torch.manual_seed(0)
    net, small = mlp(20, 600, 3), mlp(20, 200, 3)
    with torch.no_grad():  # shares that add up to one without rounding
        for place, share in enumerate((0.5, 0.25, 0.25)):
            rows = slice(200 * place, 200 * (place + 1))
            net[0].weight[rows] = small[0].weight
            net[0].bias[rows] = small[0].bias
            net[2].weight[:, rows] = share * small[2].weight
        net[2].bias.copy_(small[2].bias)
    found = certify(net, small, Ball(5.0), effort=0.0)
    change = moved(net, small, inputs(5.0, 20, torch.float32))
    assert (change > 0).all()
    assert (change <= found.rounding).all()


def test_a_result_s_certificates_cover_the_loss_of_neurons_that_nobody_reads():
    torch.manual_seed(0)
    net = mlp(20, 600, 3)
    with torch.no_grad():
        net[2].weight[:, ::2] = 0.0
    x = torch.full((1, 20), 1.0)
    result = coreprune.prune(net, x, keep=0.5, method="backward")
    exact = coreprune.prune(copy.deepcopy(net).double(), x.double(), keep=0.5, method="backward")
    change = moved(net, result.model, inputs(result.certificate_radius, 20, torch.float32)).max()
    assert exact.groups[0].kept == result.groups[0].kept
    assert exact.certificate < change <= result.certificate
    assert change <= result.groups[0].certificate


@pytest.mark.parametrize("large", ["none", "n", "m", "o", "p"])
def test_normalisations_round_as_they_are_evaluated(large):
    # A mean of a size that cancels: in a leading norm, between activations, behind, at the end.
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(5, 12), n=nn.BatchNorm1d(12), r=nn.ReLU(), m=nn.BatchNorm1d(12),
        t=nn.Tanh(), o=nn.BatchNorm1d(12), b=nn.Linear(12, 3), p=nn.BatchNorm1d(3), s=nn.Sigmoid(),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for norm in (net.n, net.m, net.o, net.p):
            norm.running_var.uniform_(0.5, 2)
        if large != "none":
            norm = getattr(net, large)
            norm.running_mean.fill_(1e4)
            before = {"n": net.a, "p": net.b}.get(large)
            if before is None:
                norm.bias.copy_(norm.running_mean / (norm.running_var + norm.eps).sqrt())
            else:
                before.bias.fill_(1e4)
    x = inputs(2.0, 5, torch.float32)
    subject = network_of(net, x[:2])
    chain = network_chain(subject, find_groups(subject.graph).groups)
    bound = chain_rounding(
        chain.links, ball(2.0, dimension=5), dtype=torch.float32, ending=chain.ending
    )
    with torch.no_grad():
        error = (net(x).double() - copy.deepcopy(net).double()(x.double())).abs().amax(0)
    assert (error <= bound.outputs).all()
    assert (error.amax() > 1e-5) == (large != "none")


@pytest.mark.parametrize(("size", "finite"), [(1e3, True), (6e4, False)])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_what_may_overflow_where_a_normalisation_is_folded_has_no_bound(place, size, finite):
    # Small before a norm and behind it, or behind a norm and the layer that reads it, not between.
    net = named(
        a=nn.Linear(4, 6), n=nn.BatchNorm1d(6), r=nn.ReLU(), m=nn.BatchNorm1d(6), b=nn.Linear(6, 2)
    ).eval()
    with torch.no_grad():
        net.a.weight.fill_(1.0)
        net.b.weight.fill_(0.1)
        if place == "before":
            net.a.weight *= size
            net.n.weight.fill_(1 / size)
        else:
            net.m.weight.fill_(size)
            net.b.weight /= size
    net = net.half()
    found = certify(net, copy.deepcopy(net), Ball(1.0), effort=0.0)
    assert found.certificate.isfinite().all() == finite
    edge = torch.full((1, 4), 0.5).half()
    assert net.m(net.r(net.n(net.a(edge)))).isfinite().all() == finite


def test_groups_of_a_network_that_is_no_chain_pay_for_their_own_rounding():
    torch.manual_seed(0)
    net = Forward(
        lambda m, x: m.out(x + m.b(torch.relu(m.a(x)))),
        a=nn.Linear(5, 6), b=nn.Linear(6, 5), out=nn.Linear(5, 2),
    )  # fmt: skip
    found = certify(net, net, Ball(2.0), example_inputs=torch.ones(1, 5))
    assert found.certificate.tolist() == pytest.approx(found.rounding.tolist(), abs=1e-9)
    assert 0 < found.rounding.item() < 1e-4
    short = copy.deepcopy(net).bfloat16()
    other = certify(short, short, Ball(2.0), example_inputs=torch.ones(1, 5).bfloat16())
    assert other.precision == "bfloat16"
    assert other.rounding.item() > 1e4 * found.rounding.item()


def test_where_rounding_has_no_bound_the_reason_says_so():
    torch.manual_seed(0)
    net = mlp(300, 12, 3).bfloat16()
    found = certify(net, net, Ball(1.0), effort=0.0)
    assert found.certificate.isinf().all()
    assert found.holds
    assert "rounding in bfloat16 has no bound" in found.groups[0].reason
    assert found.groups[0].certificate is None
    assert found.to_json()["certificate"] == [None] * 3
    assert certify(net.float(), net.float(), Ball(1.0), effort=0.0).certificate.isfinite().all()
