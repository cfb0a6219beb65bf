"""Budgets of a proven error: the result is proven, its neighbour is not, trials are few."""

import math

import pytest
import torch
from networks import Forward, mlp
from torch import nn

import coreprune
from coreprune import ArgumentError, Ball, Budget, Repair, certify, prune
from coreprune.certified_budget import last_that_holds

X = torch.linspace(-1, 1, 12).reshape(2, 6)


def lenet_like():
    torch.manual_seed(0)
    return mlp(6, 14, 8, 3)


def widths(result):
    return [group.neurons_after for group in result.groups]


@pytest.fixture(scope="module")
def removing_one():
    """The least certificate of a network with fewer neurons, from the refusal that names it."""
    with pytest.raises(ArgumentError) as refusal:
        prune(lenet_like(), X, keep=Budget(certified=1e-6))
    return float(str(refusal.value).split("networks tried is ")[1].split(";")[0])


@pytest.mark.parametrize("count", range(9))
def test_bisection_finds_the_end_of_a_prefix_with_few_questions(count):
    for end in range(count + 1):
        asked = []

        def holds(position, end=end, asked=asked):
            asked.append(position)
            return position <= end

        assert last_that_holds(count, holds) == end
        assert len(asked) == len(set(asked)) <= math.ceil(math.log2(count + 1))
        assert set(asked) <= set(range(1, count + 1))


def test_bisection_ends_where_it_holds_even_when_that_is_no_prefix():
    for pattern in range(2**7):
        flags = [True, *(bool(pattern >> bit & 1) for bit in range(7))]
        assert flags[last_that_holds(7, flags.__getitem__)]


@pytest.mark.parametrize(("factor", "round_to"), [(1.01, 1), (3.0, 4), (30.0, 1)])
def test_the_result_is_proven_to_stay_below_the_target(factor, round_to, removing_one):
    net, target = lenet_like(), 8 * factor * removing_one
    result = prune(net, X, keep=Budget(certified=target), round_to=round_to)
    assert 0 < result.certificate <= target
    assert result.certificate_scope == "network"
    assert result.parameters_after < result.parameters_before
    for group in result.groups:
        assert group.neurons_after % round_to == 0 or group.neurons_after == group.neurons_before
    found = certify(net, result.model, Ball(result.certificate_radius), effort=0.0)
    assert 0 < float(found.attack.max()) <= target


def test_it_is_a_network_of_the_curve_and_the_same_that_its_widths_give(removing_one):
    result = prune(lenet_like(), X, keep=Budget(certified=10 * removing_one))
    keep = {group.name: group.neurons_after / group.neurons_before for group in result.groups}
    same = prune(lenet_like(), X, keep=keep)
    assert same.certificate == pytest.approx(result.certificate, rel=1e-9)
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, same.model.state_dict()[name])
    points = [[point.widths[g.name] for g in result.groups] for point in result.curve]
    place = points.index(widths(result))
    after = prune(
        lenet_like(), X, keep={g.name: w / g.neurons_before for g, w in
                               zip(result.groups, points[place + 1], strict=True)},
    )  # fmt: skip
    assert after.certificate > 10 * removing_one


def test_a_target_that_allows_everything_leaves_one_neuron_a_layer():
    assert widths(prune(lenet_like(), X, keep=Budget(certified=1e9))) == [1, 1]


def test_neurons_that_cost_nothing_go_first(removing_one):
    net = lenet_like()
    with torch.no_grad():
        net[0].bias[:5] = -20 * net[0].weight[:5].norm(dim=1)
    result = prune(net, X, keep=Budget(certified=removing_one / 9))
    assert widths(result) == [9, 8]
    assert not set(result.groups[0].kept) & set(range(5))


def test_a_target_below_every_certificate_says_what_can_be_reached(removing_one):
    with pytest.raises(ArgumentError, match=r"cannot be reached.*ask for that or more.*lossless"):
        prune(lenet_like(), X, keep=Budget(certified=removing_one / 2))
    assert prune(lenet_like(), X, keep=Budget(certified=1.001 * removing_one)).groups


def test_progress_counts_the_trials():
    told = []
    prune(lenet_like(), X, keep=Budget(certified=5.0), progress=lambda *words: told.append(words))
    trials = [words[1:] for words in told if words[0] == "cutting and certifying a size"]
    assert trials == [(done, 5) for done in range(len(trials))]  # 14 + 8 − 2 sizes
    assert 4 <= len(trials) <= 5


@pytest.mark.parametrize("method", ["backward", "forward"])
def test_every_method_that_prices_sizes_can_be_asked(method):
    result = prune(lenet_like(), X, keep=Budget(certified=5.0), method=method)
    assert result.certificate <= 5.0


@pytest.mark.parametrize("method", ["priority", "importance", "uniform", "magnitude"])
def test_other_methods_are_refused(method):
    with pytest.raises(ArgumentError, match=r"Budget\(certified=1.0\) needs a method.*'optimal'"):
        prune(lenet_like(), X, keep=Budget(certified=1.0), method=method)


def test_networks_without_a_bound_of_the_whole_are_refused():
    torch.manual_seed(0)
    net = Forward(
        lambda m, x: m.out(x + m.b(torch.relu(m.a(x)))),
        a=nn.Linear(6, 8), b=nn.Linear(8, 6), out=nn.Linear(6, 2),
    )  # fmt: skip
    with pytest.raises(
        ArgumentError, match=r"no bound of the whole.*one plain chain.*error=\.\.\."
    ):
        prune(net, X, keep=Budget(certified=1.0))


def test_a_bound_that_no_size_has_is_refused_at_the_first_one():
    torch.manual_seed(0)
    net, told = mlp(6, 14, 8, 3, act=Step), []
    with pytest.raises(ArgumentError, match="an activation in it jumps; pass Budget"):
        prune(
            net, X, keep=Budget(certified=1.0), queries=coreprune.Gaussian(),
            progress=lambda *words: told.append(words[0]),
        )  # fmt: skip
    assert told.count("cutting and certifying a size") == 1


class Step(nn.Module):
    def forward(self, x):
        return (x > 0).to(x.dtype)


@pytest.mark.parametrize(("sizes", "round_to"), [((6, 1, 1, 3), 1), ((6, 8, 8, 3), 8)])
def test_a_network_that_can_lose_nothing_is_refused(sizes, round_to):
    with pytest.raises(ArgumentError, match=f"nothing to choose from.*round_to={round_to}"):
        prune(mlp(*sizes), X, keep=Budget(certified=1.0), round_to=round_to)


def test_repair_would_change_what_is_proven():
    with pytest.raises(ArgumentError, match=r"cannot be given with repair.*coreprune\.certify"):
        prune(lenet_like(), X, keep=Budget(certified=1.0), repair=Repair(steps=1))


def test_a_layer_that_stays_whole_belongs_to_what_is_proven(removing_one):
    result = prune(lenet_like(), X, keep=Budget(certified=10 * removing_one), skip=["2"])
    assert [group.name for group in result.groups] == ["0"]
    assert 0 < result.certificate <= 10 * removing_one
    found = certify(lenet_like(), result.model, Ball(result.certificate_radius), effort=0.0)
    assert 0 < float(found.attack.max()) <= result.certificate


def test_a_first_layer_that_stays_whole_has_no_planned_ball():
    with pytest.raises(ArgumentError, match="no radius was planned for its first layer, 0"):
        prune(lenet_like(), X, keep=Budget(certified=1.0), skip=["0"])
