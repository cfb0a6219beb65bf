"""Two convolutional networks alone: each group certified, attacked, or told why not."""

import copy
import math

import pytest
import torch
from channels import conv, outputs, within
from convolutional import norm
from networks import draw, named
from torch import nn

import coreprune
from coreprune import Ball, Box, certify
from coreprune.verification import verify_saved

X = draw(2, 2, 7, 7)


def network(*, act=nn.ReLU, taps=3, middle=None, seed=0):
    torch.manual_seed(seed)
    between = {} if middle is None else {"p": middle}
    return named(
        a=conv(2, 8, 3, padding=1), m=norm(8), r=act(), **between, b=conv(8, 4, taps, padding=1)
    ).eval()


def pruned(net, **options):
    given = {"keep": {"a": 0.6}, "method": "magnitude", **options}
    return coreprune.prune(net, X, **given)


@pytest.mark.parametrize("taps", [1, 3])
def test_what_was_pruned_is_bounded_as_when_it_was(taps):
    net = network(taps=taps)
    result = pruned(net)
    (record,) = result.groups
    found = certify(net, result.model, Ball(record.certificate_radius), example_inputs=X)
    assert found.scope.startswith("group")
    assert "windows that all taps" in found.space
    assert [group.name for group in found.groups] == ["a → b"]
    assert found.certificate.item() == pytest.approx(record.certificate, rel=1e-6)
    assert 0 < found.attack.item() <= found.certificate.item()
    assert found.holds
    assert found.precision == "float32"


def test_a_network_is_as_far_from_itself_as_rounding():
    net = network(act=nn.GELU)
    found = certify(net, copy.deepcopy(net), Ball(5.0), example_inputs=X)
    assert 0 < found.certificate.item() < 1e-3
    assert found.certificate.item() == pytest.approx(found.rounding.item(), rel=1e-2)


@pytest.mark.parametrize("taps", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_channels_that_were_trained_on_are_bounded_for_both_networks(share, taps):
    net = network(taps=taps)
    other = pruned(net).model
    with torch.no_grad():
        moving = torch.rand(len(other.a.weight)) < share
        other.a.weight[moving] += 0.05 * torch.randn_like(other.a.weight[moving])
        other.b.weight += 0.05 * torch.randn_like(other.b.weight)
    found = certify(net, other, Ball(3.0), example_inputs=X)
    space = "windows of 5×5 positions" if taps == 3 else "patches"
    generator = torch.Generator().manual_seed(1)
    x = within(torch.randn(50, 2, 7, 7, generator=generator), net.a, space, radius=3.0)
    with torch.no_grad():
        change = (outputs(net, x) - outputs(other, x)).abs().max()
    assert float(change) <= found.certificate.item()
    assert found.attack.item() <= found.certificate.item()
    assert found.attack.item() > 0.3 * float(change)


def test_channels_scaled_and_read_less_are_the_same_network():
    net = network(act=nn.Identity)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for tensor in (other.m.weight, other.m.bias):
            tensor[:3] *= 2
        other.b.weight[:, :3] /= 2
    found = certify(net, other, Ball(3.0), example_inputs=X)
    assert found.certificate.item() < 1e-3


def deeper():
    torch.manual_seed(0)
    return named(a=conv(2, 8, 3), r=nn.ReLU(), c=conv(8, 6, 3), s=nn.ReLU(), b=conv(6, 4, 1)).eval()


@pytest.mark.parametrize(
    ("make", "space", "reason"),
    [
        (deeper, Ball(1.0), "other sizes"),
        (lambda: network(middle=nn.MaxPool2d(2)), Ball(1.0), "positions are mixed on the way"),
        (network, Box(-1.0, 1.0), "on balls alone"),
    ],
)
def test_what_is_not_certified_says_why(make, space, reason):
    net = make()
    other = coreprune.prune(net, X, keep=0.5, method="magnitude").model
    found = certify(net, other, space, example_inputs=X)
    assert found.certificate[0] == math.inf
    assert found.groups[0].certificate is found.groups[0].attack is None
    assert reason in found.groups[0].reason


def test_other_moves_are_other_layers():
    net = network()
    other = pruned(net).model
    other.a.dilation = other.a.padding = (2, 2)
    found = certify(net, other, Ball(1.0), example_inputs=X)
    assert "other sizes" in found.groups[0].reason


def test_verify_attacks_the_stored_certificate(tmp_path):
    net = network()
    result = pruned(net)
    result.save(tmp_path / "small")
    found = verify_saved(net, tmp_path / "small", into=network(), space=Ball(1.0), example_inputs=X)
    (claim,) = found.stored
    assert (claim.name, claim.radius) == ("a", result.groups[0].certificate_radius)
    assert 0.5 * claim.certificate < claim.attack <= claim.certificate
    assert found.holds
