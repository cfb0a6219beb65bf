"""Neurons that lie beside others: every reader has a slice of its columns for each layer."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_asserts import assert_costs_are_counted
from networks import Forward, draw, named, slopes
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)
from torch.utils.flop_counter import FlopCounterMode

from coreprune import Budget, Gaussian, inspect, prune
from coreprune.core.taps import columns
from coreprune.graph.cut import Cut, parts_of, shrink, widen
from coreprune.graph.partition import find_groups
from coreprune.graph.runs import runs_of
from coreprune.laws.chains import chained
from coreprune.shells.torch_module.modules import with_tensors
from coreprune.shells.torch_module.subject import prepare

METHODS = [("optimal", "bottom_up"), ("optimal", "top_down"), ("magnitude", "top_down")]


def dense_layer(width: int, growth: int) -> nn.Module:
    return named(
        n=nn.BatchNorm2d(width), r=nn.ReLU(),
        c=nn.Conv2d(width, 2 * growth, 1, bias=False),
        m=nn.BatchNorm2d(2 * growth), s=nn.ReLU(inplace=True),
        d=nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False),
    )  # fmt: skip


def dense_block(layers: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    features = [x]
    for layer in layers:
        features.append(layer(torch.cat(features, 1)))
    return torch.cat(features, 1)


def densenet() -> nn.Module:
    def forward(net, x):
        x = dense_block(net.one, net.stem(x))
        x = dense_block(net.two, F.avg_pool2d(net.reduce(net.n(x).relu()), 2))
        return net.head(net.m(x).relu().mean((2, 3)))

    return Forward(
        forward,
        stem=nn.Conv2d(3, 6, 3, padding=1),
        one=nn.ModuleList([dense_layer(6, 4), dense_layer(10, 4)]),
        n=nn.BatchNorm2d(14), reduce=nn.Conv2d(14, 7, 1, bias=False),
        two=nn.ModuleList([dense_layer(7, 4), dense_layer(11, 4)]),
        m=nn.BatchNorm2d(15), head=nn.Linear(15, 5),
    )  # fmt: skip


def inception() -> nn.Module:
    def forward(net, x):
        pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        x = torch.cat([net.a(x), net.c(net.b(x).relu()), net.d(pooled)], dim=-3)
        return net.head(net.k(net.s(x)).flatten(1))

    return Forward(
        forward,
        a=nn.Conv2d(3, 5, 1), b=nn.Conv2d(3, 6, 1), c=nn.Conv2d(6, 7, 3, padding=1),
        d=nn.Conv2d(3, 4, 1, bias=False), s=slopes(16), k=nn.Conv2d(16, 16, 3, groups=16),
        head=nn.Linear(64, 3),
    )  # fmt: skip


def unet() -> nn.Module:
    def forward(net, x):
        skip = net.down(x).relu()
        deep = net.deep(F.max_pool2d(skip, 2)).relu()
        up = F.interpolate(deep, scale_factor=2, mode="bilinear")
        return net.out(net.up(torch.cat([up, skip], 1)).relu())

    return Forward(
        forward,
        down=nn.Conv2d(2, 8, 3, padding=1), deep=nn.Conv2d(8, 9, 3, padding=1),
        up=nn.Conv2d(17, 6, 3, padding=1), out=nn.Conv2d(6, 2, 1),
    )  # fmt: skip


def dense_mlp() -> nn.Module:
    def forward(net, x):
        one = net.a(x).relu()
        both = torch.cat([x, one], 1)
        two = net.b(both).tanh()
        return net.d(net.c(torch.cat([both, two], 1)).relu())

    return Forward(
        forward,
        a=nn.Linear(6, 12), b=nn.Linear(18, 10, bias=False), c=nn.Linear(28, 9), d=nn.Linear(9, 3),
    )  # fmt: skip


def of_several_sizes() -> nn.Module:
    """Channels with nine and with four positions each, flattened and put side by side."""
    return Forward(
        lambda net, x: net.c(torch.cat([net.a(x).flatten(1), net.b(x).flatten(1)], 1).relu()),
        a=nn.Conv2d(2, 7, 2), b=nn.Conv2d(2, 6, 3), c=nn.Linear(87, 3),
    )  # fmt: skip


NETWORKS = {
    "densenet": (densenet, (3, 8, 8)),
    "inception": (inception, (3, 4, 4)),
    "unet": (unet, (2, 8, 8)),
    "dense_mlp": (dense_mlp, (6,)),
    "of_several_sizes": (of_several_sizes, (2, 4, 4)),
}
CUT = {
    "densenet": [
        *["stem", "one.0.c", "one.0.d", "one.1.c", "one.1.d"],
        *["reduce", "two.0.c", "two.0.d", "two.1.c", "two.1.d"],
    ],
    "inception": ["a", "b", "c", "d"],
    "unet": ["down", "deep", "up"],
    "dense_mlp": ["a", "b", "c"],
    "of_several_sizes": ["a", "b"],
}


@functools.cache
def built(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (*module.parameters(), module.running_mean, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
    return model, draw(2, *shape)


@functools.cache
def pruned(name: str, method: str, order: str):
    model, x = built(name)
    return prune(model, x, keep=0.5, method=method, order=order, queries=Gaussian())


@pytest.mark.parametrize(("method", "order"), METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_concatenated_layers_are_cut_and_nothing_is_restored(name, method, order):
    """The postcondition compares with the zero-padded original: what breaks it is restored."""
    result = pruned(name, method, order)
    assert [record.name for record in result.groups] == CUT[name]
    for record in result.groups:
        assert record.neurons_after == (record.neurons_before + 1) // 2
    assert [entry.reason for entry in result.whole] == ["its output leaves the network"]


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_are_what_a_whole_and_a_cut_model_have(name):
    model, x = built(name)
    assert_costs_are_counted(model, x, pruned(name, "magnitude", "top_down"))


@pytest.mark.parametrize("name", NETWORKS)
def test_keeping_every_neuron_changes_no_output(name):
    model, x = built(name)
    result = prune(model, x, keep=1.0, queries=Gaussian())
    with torch.no_grad():
        assert torch.equal(result.model(x), model(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_optimal_choice_beats_magnitude_in_either_order(name):
    model, x = built(name)
    fresh = torch.randn(400, *x.shape[1:], generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        bottom_up, top_down, magnitude = (
            float((pruned(name, *how).model(fresh) - model(fresh)).square().mean())
            for how in METHODS
        )
    assert top_down < 0.7 * magnitude
    assert bottom_up < 0.7 * magnitude
    assert bottom_up < 1.1 * top_down


@pytest.mark.parametrize("name", ["densenet", "dense_mlp"])
def test_a_later_slice_makes_up_for_the_constants_that_earlier_ones_moved(name):
    """The recorded error is that of the whole reader, so what others moved must not count twice."""
    result = pruned(name, "optimal", "bottom_up")
    assert result.measured_error < pruned(name, "optimal", "top_down").measured_error


@functools.cache
def read(name: str):
    subject = prepare(*built(name))
    return subject, find_groups(subject.graph).groups


def cut_at_random(name, order, seed):
    """Cut groups in this order; readers keep what they read of the neurons that stay, doubled."""
    (subject, groups), generator = read(name), torch.Generator().manual_seed(seed)
    kept = {}
    for group in groups:
        size = int(torch.randint(1, group.neurons + 1, (), generator=generator))
        kept[group.name] = torch.randperm(group.neurons, generator=generator)[:size].sort().values
    small, cuts = subject.graph.parameters, ()
    for position in order:
        group = groups[position]
        own = parts_of(group, small, cuts)
        weights = tuple(
            2 * own[c.affine.weight].flatten(1)[:, columns(kept[group.name], c.taps)]
            for c in group.consumers
        )
        cut = Cut(group=group, indices=kept[group.name], weights=weights)
        small, cuts = shrink(small, cut, cuts), (*cuts, cut)
    return small, cuts


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_cutting_in_any_order_is_padding_the_original_with_zeros(name, data):
    (_, x), (subject, _) = built(name), read(name)
    count = len(CUT[name])
    seed = data.draw(st.integers(0, 1000))
    order = data.draw(st.permutations(range(count)))
    small, cuts = cut_at_random(name, order, seed)
    again, _ = cut_at_random(name, range(count), seed)
    assert all(torch.equal(small[key], again[key]) for key in small)
    wide = widen(small, subject.graph.parameters, cuts)
    with torch.no_grad():
        cut, padded = (
            with_tensors(subject.working, dict(tensors)).double() for tensors in (small, wide)
        )
        torch.testing.assert_close(cut(x.double()), padded(x.double()))
    for key, tensor in wide.items():
        original = subject.graph.parameters[key]
        assert ((tensor == 0) | (tensor == 2 * original) | (tensor == original)).all()


def test_layers_that_are_read_beside_others_are_no_chain():
    subject, groups = read("dense_mlp")
    assert [group.is_alone for group in groups] == [False, False, True]
    assert chained(subject.graph, groups) == frozenset()
    (chain,) = runs_of(groups)
    assert chain.name == "c → d"


def test_a_slice_is_certified_with_what_stands_beside_it_fixed():
    model, x = built("dense_mlp")
    result = prune(model, x, keep={"b": 0.6}, skip=["a", "c"], queries=Gaussian())
    (record,) = result.groups
    queries = torch.randn(5000, 6, generator=torch.Generator().manual_seed(3))
    seen = {}
    for which, net in (("before", model), ("after", result.model)):
        net.c.register_forward_hook(lambda _, __, y, which=which: seen.update({which: y}))
        with torch.no_grad():
            net(queries)
        net.c._forward_hooks.clear()
    first = torch.cat([queries, model.a(queries).relu()], 1)
    inside = first.norm(dim=1) <= record.query_radius
    assert inside.sum() > 100
    worst = float((seen["before"] - seen["after"])[inside].abs().max())
    assert 0 < worst <= record.certificate < 100 * worst


@pytest.mark.parametrize("name", ["dense_mlp", "inception"])
def test_slices_lose_what_nobody_needs_and_outputs_stay(name):
    torch.manual_seed(1)
    make, shape = NETWORKS[name]
    model, x = make().eval(), draw(2, *shape)
    with torch.no_grad():
        if name == "dense_mlp":
            model.b.weight[[2, 7]] = 0  # tanh(0) = 0
            model.a.weight[5], model.a.bias[5] = model.a.weight[1], model.a.bias[1]
            model.c.weight[:, 18 + 4] = 0  # b's neuron 4 is unread, and then a's 8 is
            model.c.weight[:, 6 + 8] = 0
            model.b.weight[:, 6 + 8] = torch.eye(10)[4]
        else:
            model.k = nn.Identity()
            model.head = nn.Linear(16 * 16, 3)
            model.head.weight.view(3, 16, 16)[:, [3, 6]] = 0  # unread: one of a, one of c
    result = prune(model, x, lossless=True)
    gone = {g.name: sorted({*range(g.neurons_before)} - {*g.kept}) for g in result.groups}
    expected = {"a": [5, 8], "b": [2, 4, 7]} if name == "dense_mlp" else {"a": [3], "c": [1]}
    assert {layer: indices for layer, indices in gone.items() if indices} == expected
    fresh = draw(50, *shape)
    with torch.no_grad():
        torch.testing.assert_close(result.model(fresh), model(fresh), rtol=1e-4, atol=1e-5)


BLOCKED = {
    "twice": (lambda h, _: torch.cat([h, h.tanh()], 1), "concatenated with itself"),
    "the same twice": (lambda h, x: torch.cat([h, x, h], 1), "concatenated with itself"),
    "rows": (lambda h, _: torch.cat([h, h.new_zeros(4, 12) + 1]), "its output"),
    "a sum of joint axes": (
        lambda h, x: torch.cat([h, x], 1) + torch.cat([x, h], 1),
        "added to another value",
    ),
    "mixed by a reshape": (
        lambda h, x: torch.cat([h, x[:, :4]], 1).unflatten(1, (2, 8)).relu().flatten(1),
        "mixed with other axes",
    ),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_what_is_not_side_by_side_stays_whole_with_a_reason(name):
    middle, reason = BLOCKED[name]
    x = draw(4, 6)
    width = middle(draw(4, 12), x).shape[1]
    model = Forward(
        lambda net, x: net.b(middle(net.a(x), x)), a=nn.Linear(6, 12), b=nn.Linear(width, 3)
    )
    reasons = {layer.name: layer.reason for layer in inspect(model, x).layers}
    assert reason in reasons["a"]


def test_slices_of_a_joint_axis_that_is_split_again_keep_their_place():
    model = Forward(
        lambda net, x: net.b(torch.cat([x[:, :4], net.a(x)], 1).unflatten(1, (8, 2)).mean(2)),
        a=nn.Linear(6, 12), b=nn.Linear(8, 3),
    )  # fmt: skip
    reasons = {layer.name: layer.reason for layer in inspect(model, draw(4, 6)).layers}
    assert "mixed with other axes" in reasons["a"]
    flat = Forward(
        lambda net, x: net.b(
            torch.cat([net.c(x).flatten(1), net.a(x).flatten(1)], 1).unflatten(1, (-1, 4)).mean(2)
        ),
        a=nn.Conv1d(2, 6, 3), c=nn.Conv1d(2, 5, 3), b=nn.Linear(11, 3),
    )  # fmt: skip
    result = prune(flat, draw(3, 2, 6), keep=0.5, method="magnitude")
    assert [(g.name, g.neurons_after) for g in result.groups] == [("c", 3), ("a", 3)]


@pytest.mark.parametrize(("first", "second"), [("a", "c"), ("c", "a")])
def test_only_the_slice_of_the_layer_that_is_cut_changes(first, second):
    model = Forward(
        lambda net, x: net.b(torch.cat([net.a(x).relu(), net.c(x).relu()], 1)),
        a=nn.Linear(6, 4), c=nn.Linear(6, 5), b=nn.Linear(9, 3),
    ).eval()  # fmt: skip
    result = prune(model, draw(4, 6), keep={first: 0.5}, skip=[second], method="magnitude")
    other = slice(4, 9) if first == "a" else slice(0, 4)
    kept = slice(2, 7) if first == "a" else slice(0, 4)
    assert torch.equal(result.model.b.weight[:, kept], model.b.weight[:, other])


def test_a_slice_that_cannot_be_cut_is_restored_and_those_beside_it_are_cut():
    model = Forward(
        lambda net, x: net.b(
            torch.cat([net.a(x).view(-1, 12).relu(), net.c(x).relu(), net.d(x).relu()], 1)
        ),
        a=nn.Linear(6, 12), c=nn.Linear(6, 5), d=nn.Linear(6, 4), b=nn.Linear(21, 3),
    ).eval()  # fmt: skip
    result = prune(model, draw(4, 6), keep=0.5, queries=Gaussian())
    assert [record.name for record in result.groups] == ["c", "d"]
    reasons = {entry.name: entry.reason for entry in result.whole}
    assert "its width is fixed somewhere in the model's code" in reasons["a"]
    assert result.model.b.weight.shape == (3, 12 + 3 + 2)


@pytest.mark.parametrize("unit", ["parameters", "flops"])
def test_budgets_are_kept_by_networks_with_slices(unit):
    model, x = built("unet")
    result = prune(model, x, keep=Budget(**{unit: 0.5}), queries=Gaussian())
    assert not [entry for entry in result.whole if entry.name != "out"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
        before = counter.get_total_flops()
        result.model(x)
    flops = (counter.get_total_flops() - before) / before
    share = flops if unit == "flops" else result.parameters_after / result.parameters_before
    assert 0.4 < share <= 0.5
