"""The certificates that every result carries: sound, in words, in JSON, and quick."""

import importlib
import json
import time

import pytest
import torch
from networks import Forward, mlp
from torch import nn

import coreprune
from coreprune.certificates import fast
from coreprune.certificates.network import network_chain
from coreprune.core.chain_rounding import ChainRounding
from coreprune.core.coreset import METHODS
from coreprune.demo import LeNet300100
from coreprune.graph.partition import find_groups
from coreprune.opening import network_of

X = torch.linspace(-1, 1, 10).reshape(2, 5)


def network(*widths, act=nn.ReLU):
    torch.manual_seed(0)
    return mlp(*widths, act=act)


def attacked(net, result):
    """The worst change of an output that was found on the ball of the result."""
    space = coreprune.Ball(result.certificate_radius)
    return float(coreprune.certify(net, result.model, space, effort=0.0).attack.max())


@pytest.mark.parametrize("method", METHODS)
def test_no_attack_beats_what_the_result_says(method):
    net = network(5, 12, 8, 3)
    result = coreprune.prune(net, X, keep=0.6, method=method)
    assert result.certificate_scope == "network"
    assert attacked(net, result) <= result.certificate


@pytest.mark.parametrize("act", [nn.ReLU, nn.PReLU, nn.Tanh, nn.Softplus])
def test_a_group_s_certificate_speaks_of_the_layer_that_reads_it(act):
    net = network(5, 12, 3, act=act)
    result = coreprune.prune(net, X, keep=0.6)
    (group,) = result.groups
    assert result.certificate_radius == group.query_radius
    assert 0 < attacked(net, result) <= group.certificate
    assert group.certificate == pytest.approx(result.certificate)


def test_every_reader_counts_and_the_scope_says_why_it_is_the_group():
    torch.manual_seed(0)
    net = Forward(
        lambda m, x: (lambda h: m.b(torch.relu(h)) + m.c(torch.tanh(h)))(m.a(x)),
        a=nn.Linear(5, 12), b=nn.Linear(12, 2), c=nn.Linear(12, 2),
    )  # fmt: skip
    result = coreprune.prune(net, X, keep=0.5)
    (group,) = result.groups
    assert group.consumers == ("b", "c")
    assert result.certificate is result.certificate_radius is None
    assert result.certificate_scope.startswith("group: no bound of the whole network, because")
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
    x *= group.query_radius / x.norm(dim=1, keepdim=True)
    small = result.model
    with torch.no_grad():
        moved = [
            float((getattr(net, n)(f(net.a(x))) - getattr(small, n)(f(small.a(x)))).abs().max())
            for n, f in (("b", torch.relu), ("c", torch.tanh))
        ]
    assert 0.2 * group.certificate < max(moved) <= group.certificate


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_keeping_everything_is_certified_to_change_nothing(dtype):
    result = coreprune.prune(network(5, 12, 3).to(dtype), X.to(dtype), keep=1.0)
    assert result.certificate == 0 == result.groups[0].certificate


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_evaluating_networks_that_are_all_but_the_same_costs_some_units_of_their_precision(dtype):
    eps = torch.finfo(dtype).eps
    chain, held = chain_of(network(5, 12, 3).to(dtype), X.to(dtype))
    moved = held["2.bias"] * torch.tensor([1 + eps, 1, 1], dtype=dtype)
    found, _ = fast.network_certificate(chain, held | {"2.bias": moved}, kept={}, radius=1.0)
    assert 10 * eps < found < 200 * eps


def test_sums_too_long_for_their_precision_have_no_certificate():
    x = torch.ones(1, 300).bfloat16()
    result = coreprune.prune(network(300, 12, 3).bfloat16(), x, keep=0.5)
    assert result.certificate is result.groups[0].certificate is None
    assert "rounding in bfloat16 has no bound for sums as long" in result.certificate_scope


def test_the_network_s_certificate_speaks_of_the_repaired_network():
    net = network(5, 12, 8, 3)
    result = coreprune.prune(net, X, keep=0.5, repair=coreprune.Repair(steps=20))
    plain = coreprune.prune(net, X, keep=0.5)
    assert result.groups == plain.groups
    assert result.certificate != plain.certificate
    assert attacked(net, result) <= result.certificate


def test_repaired_slopes_are_no_longer_the_same_activation():
    net = network(5, 12, 3, act=nn.PReLU)
    result = coreprune.prune(net, X, keep=0.5, repair=coreprune.Repair(steps=20))
    assert result.certificate is None
    assert result.certificate_scope.endswith("because repair changed its activations")


def a_constant_takes_the_place_of(norm):
    """A network of two neurons, one of which is all but constant on the queries but not beyond."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2, bias=False), norm).eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
        net[0].bias.zero_()
        net[2].weight.copy_(torch.tensor([[3.0, 1.0], [-3.0, 1.0]]))
    return net, torch.stack([torch.linspace(-1, 1, 41), torch.full((41,), 2.0)], 1)


def test_a_constant_that_a_normalisation_behind_takes_counts():
    net, samples = a_constant_takes_the_place_of(nn.BatchNorm1d(2))
    result = coreprune.prune(net, samples, keep=0.5, queries=coreprune.Samples(samples))
    assert (result.model[3].running_mean < -0.9).all()
    x = torch.tensor([[0.0, -0.9999 * result.certificate_radius]])
    with torch.no_grad():
        moved = float((net(x) - result.model(x)).abs().max())
    assert 1.9 < moved <= min(result.certificate, result.groups[0].certificate)
    assert attacked(net, result) <= result.certificate < 1.01 * moved


def chain_of(net, example=X):
    subject = network_of(net, example)
    groups = find_groups(subject.graph).groups
    return network_chain(subject, groups), subject.graph.parameters


def test_a_changed_normalisation_at_the_end_counts():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3), nn.BatchNorm1d(3)).eval()
    chain, held = chain_of(net)
    moved = held | {"3.bias": held["3.bias"] + torch.tensor([0.0, 0.5, -2.0])}
    found, scope = fast.network_certificate(chain, moved, kept={}, radius=1.0)
    assert (found, scope) == (pytest.approx(2.0, rel=1e-3), "network")
    assert found >= 2.0


def test_changed_slopes_at_the_end_are_no_longer_the_same_activation():
    torch.manual_seed(0)
    chain, held = chain_of(nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3), nn.PReLU()))
    found, scope = fast.network_certificate(
        chain, held | {"3.weight": held["3.weight"] + 0.5}, kept={}, radius=1.0
    )
    assert found is None
    assert scope.endswith("because repair changed its activations")


def test_two_chains_that_end_in_other_activations_have_no_certificate():
    net = network(5, 12, 3)
    one, _ = chain_of(nn.Sequential(*net, nn.Sigmoid()))
    other, _ = chain_of(nn.Sequential(*net, nn.Tanh()))
    kept = [torch.arange(12), torch.arange(3)]
    assert fast.certificate_along(one, other, kept, radius=1.0) is None
    assert fast.certificate_along(one, one, kept, radius=1.0) == 0.0


def test_a_network_that_ends_in_an_activation_is_bounded_behind_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3), nn.Sigmoid())
    result = coreprune.prune(net, X, keep=0.5)
    assert result.certificate == pytest.approx(result.groups[0].certificate / 4, rel=1e-3)


@pytest.mark.parametrize(("size", "count"), [(1e-4, 2), (1.0, 0)])
def test_a_certificate_beyond_the_range_of_outputs_is_said_to_say_nothing(size, count):
    net = network(5, 12, 3)
    with torch.no_grad():
        net[2].weight[1:] *= size
    result = coreprune.prune(net, X, keep=0.9)
    words = f"the certificate exceeds the whole range of {count} of 3 outputs on that ball, so"
    assert any(note.startswith(words) for note in result.notes) == bool(count)
    assert any("the certificate exceeds" in note for note in result.notes) == bool(count)


def test_json_has_it(tmp_path):
    result = coreprune.prune(network(5, 12, 3), X, keep=0.5)
    result.save(tmp_path / "small")
    document = json.loads((tmp_path / "small" / "coreprune.json").read_text())
    assert document["certificate"] == result.certificate
    assert document["certificate_scope"] == "network"
    assert document["groups"][0]["certificate"] == result.groups[0].certificate


def test_it_is_quicker_than_pruning(monkeypatch):
    spent = []

    def timed(function):
        def wrapper(*args, **kwargs):
            start = time.perf_counter()
            found = function(*args, **kwargs)
            spent.append(time.perf_counter() - start)
            return found

        return wrapper

    monkeypatch.setattr(
        "coreprune.certificates.of_cut.cut_certificate", timed(fast.cut_certificate)
    )
    module = importlib.import_module("coreprune.proof")
    monkeypatch.setattr(module, "network_certificate", timed(fast.network_certificate))
    torch.manual_seed(0)
    net, start = LeNet300100(), time.perf_counter()
    coreprune.prune(net, torch.ones(1, 784), keep=0.5, queries=coreprune.Gaussian())
    assert len(spent) == 3
    assert sum(spent) < (time.perf_counter() - start) / 2


def test_layers_too_wide_for_it_are_pruned_without_and_said_to_be(monkeypatch):
    net = network(5, 12, 4, 3)
    monkeypatch.setattr(fast, "WIDEST", 12 * 5 * 5 - 1)  # n·max(k, d)·min(n, d) of the first
    result = coreprune.prune(net, X, keep=0.5)
    assert [group.certificate is None for group in result.groups] == [True, False]
    assert result.certificate is result.certificate_radius is None
    assert "because a layer is too wide for the fast certificate" in result.certificate_scope
    assert [note for note in result.notes if "certificate" in note] == [
        "0: no certificate: too wide for the fast certificate; coreprune.certify and "
        "coreprune verify take the time"
    ]
    with pytest.raises(coreprune.ArgumentError, match=r"too wide for the fast.*error=\.\.\."):
        coreprune.prune(net, X, keep=coreprune.Budget(certified=1.0))
    monkeypatch.setattr(fast, "WIDEST", 12 * 5 * 5)
    result = coreprune.prune(net, X, keep=0.5)
    assert result.certificate is not None
    assert not [note for note in result.notes if "certificate" in note]


def test_what_is_no_number_is_no_certificate(monkeypatch):
    def nothing(links, *_, **__):
        return ChainRounding(layers=(), outputs=torch.full((len(links[-1].points),), torch.nan))

    monkeypatch.setattr(fast, "chain_rounding", nothing)
    result = coreprune.prune(network(5, 12, 3), X, keep=0.5)
    assert result.certificate is result.groups[0].certificate is None
