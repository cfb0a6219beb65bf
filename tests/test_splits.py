"""Layers whose rows are split into equal parts that are multiplied: a neuron has a row of each."""

import functools

import pytest
import torch
from network_asserts import assert_costs_are_counted
from networks import Forward, draw, named
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune import Budget, Gaussian, Samples, UnsupportedModelError, inspect, prune
from coreprune.graph.cut import Cut, shrink, spans_of, widen
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.modules import with_tensors
from coreprune.shells.torch_module.subject import prepare


def glu_blocks() -> nn.Module:
    """As TabNet has them: normalised, then split."""
    return named(
        a=nn.Linear(5, 16, bias=False), n=nn.BatchNorm1d(16), g=nn.GLU(),
        b=nn.Linear(8, 12), m=nn.BatchNorm1d(12), h=nn.GLU(), c=nn.Linear(6, 3),
    )  # fmt: skip


def written(function, *, rows=16, read=8, out=3) -> nn.Module:
    return Forward(
        lambda net, x: net.b(function(net.a(x))), a=nn.Linear(5, rows), b=nn.Linear(read, out)
    )


def halves(x: torch.Tensor) -> torch.Tensor:
    middle = x.shape[-1] // 2
    return F.silu(x[..., :middle]) * x[..., middle:]


def thirds(x: torch.Tensor) -> torch.Tensor:
    one, two, three = x.chunk(3, -1)
    return one * two.sigmoid() + three


def simple_gate() -> nn.Module:
    def forward(net, x):
        left, right = net.d(net.s(net.a(x))).chunk(2, dim=1)
        return net.b(F.avg_pool2d(left * right, 2)).mean((2, 3))

    return Forward(
        forward,
        a=nn.Conv2d(2, 12, 3), s=nn.PReLU(12), d=nn.Conv2d(12, 12, 3, padding=1, groups=12),
        b=nn.Conv2d(6, 3, 1),
    )  # fmt: skip


def conditioned() -> nn.Module:
    """Another layer gives each channel a factor and a term."""

    def forward(net, x, t):
        factor, term = net.t(t)[..., None].chunk(2, 1)
        return net.b(F.silu(net.a(x) * (1 + factor) + term)).mean(2)

    return Forward(forward, t=nn.Linear(4, 14), a=nn.Conv1d(2, 7, 3), b=nn.Conv1d(7, 3, 1))


NETWORKS = {
    "glu blocks": (glu_blocks, ((5,),), ["a", "b"]),
    "geglu": (lambda: written(lambda h: torch.mul(*h.chunk(2, -1))), ((4, 5),), ["a"]),
    "halves": (lambda: written(halves), ((5,),), ["a"]),
    "thirds": (lambda: written(thirds, rows=24), ((5,),), ["a"]),
    "simple gate": (simple_gate, ((2, 8, 8),), ["a"]),
    "conditioned": (conditioned, ((2, 6), (4,)), ["t"]),
}
"""Each with the shape of an example of every input, and the groups that are found."""


@functools.cache
def built(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    make, shapes, _ = NETWORKS[name]
    model = make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for tensor in (*module.parameters(), module.running_mean, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
    return model, tuple(draw(2, *shape) for shape in shapes)


@functools.cache
def pruned(name: str, method: str = "optimal"):
    model, x = built(name)
    return prune(model, x, keep=0.5, method=method, queries=Gaussian())


@pytest.mark.parametrize("method", ["optimal", "magnitude", "priority"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_are_cut_together_and_nothing_is_restored(name, method):
    result = pruned(name, method)
    assert [record.name for record in result.groups] == NETWORKS[name][2]
    for record in result.groups:
        assert record.neurons_after == (record.neurons_before + 1) // 2
    assert {entry.reason for entry in result.whole} == {"its output leaves the network"}


@pytest.mark.parametrize("name", NETWORKS)
def test_keeping_every_neuron_changes_no_output(name):
    model, x = built(name)
    result = prune(model, x, keep=1.0, queries=Gaussian())
    with torch.no_grad():
        assert torch.equal(result.model(*x), model(*x))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cut_is_the_original_padded_with_zeros(name):
    model, x = built(name)
    subject = prepare(model, x)
    small, cuts = subject.graph.parameters, ()
    for group in find_groups(subject.graph).groups:
        kept = torch.arange(group.neurons)[1::2]
        weights = tuple(small[one.affine.weight].flatten(1)[:, kept] for one in group.consumers)
        cut = Cut(group=group, indices=kept, weights=weights)
        small, cuts = shrink(small, cut, cuts), (*cuts, cut)
    wide = widen(small, subject.graph.parameters, cuts)
    with torch.no_grad():
        one, other = (with_tensors(model, dict(tensors)) for tensors in (small, wide))
        torch.testing.assert_close(one(*x), other(*x))


def test_a_neuron_keeps_its_row_of_either_half():
    """By hand: rows j and n + j of all that comes before the split, columns j behind it."""
    (model, _), result = built("glu blocks"), pruned("glu blocks")
    small = result.model
    a, b = (torch.tensor(record.kept) for record in result.groups)
    first, second = torch.cat([a, 8 + a]), torch.cat([b, 6 + b])
    assert small.a.weight.equal(model.a.weight[first])
    assert small.b.weight.shape == (6, 4)
    for norm, kept in (("n", first), ("m", second)):
        own, all_ = small.get_submodule(norm), model.get_submodule(norm)
        assert own.weight.equal(all_.weight[kept])
        assert own.running_var.equal(all_.running_var[kept])
    assert (small.a.out_features, small.n.num_features, small.c.in_features) == (8, 8, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_are_what_a_whole_and_a_cut_model_have(name):
    model, x = built(name)
    assert_costs_are_counted(model, x, pruned(name, "magnitude"))


@pytest.mark.parametrize("name", ["geglu", "halves"])
def test_the_expected_error_is_the_error_on_the_samples(name):
    model, (example,) = built(name)
    samples = torch.randn(2500, *example.shape[1:], generator=torch.Generator().manual_seed(3))
    result = prune(model, example, keep=0.5, queries=Samples(samples))
    with torch.no_grad():
        change = result.model(samples) - model(samples)
    measured = float(change.square().mean()) ** 0.5
    assert result.groups[0].expected_error == pytest.approx(measured, rel=1e-3)
    with torch.no_grad():
        heuristic = prune(model, example, keep=0.5, method="magnitude").model(samples)
        assert measured < 0.7 * float((heuristic - model(samples)).square().mean()) ** 0.5


def test_a_bound_is_refused_in_words():
    result = pruned("halves")
    assert result.certificate is None
    assert result.groups[0].certificate is None
    assert "multiplied by a gate" in " ".join(result.notes)


def test_a_budget_is_kept():
    model, x = built("glu blocks")
    result = prune(model, x, keep=Budget(parameters=0.6), queries=Gaussian())
    assert sum(p.numel() for p in result.model.parameters()) <= 0.6 * result.parameters_before


def test_neurons_that_are_equal_in_one_half_alone_stay():
    model = written(halves)
    with torch.no_grad():
        for tensor in (model.a.weight, model.a.bias, model.b.weight.T):
            tensor[1] = tensor[0]
    result = prune(model, draw(2, 5), lossless=True)
    assert result.model.a.out_features == 16
    reason = next(entry.reason for entry in result.whole if entry.name == "a")
    assert reason == "a product or a sum of its neurons lies between it and its readers"


BLOCKED = {
    "of unequal sizes": (lambda h: torch.mul(h.split([8, 1, 7], -1)[0], 2.0), "a split into parts"),
    "a part alone": (lambda h: h.chunk(2, -1)[0].relu(), "not multiplied together"),
    "parts of parts": (
        lambda h: F.glu(torch.cat([F.glu(h), F.glu(h)], -1)), "concatenated with itself",
    ),
    "quarters": (lambda h: F.glu(F.glu(h)).repeat(1, 2), "split into parts in more ways than one"),
    "a maximum": (lambda h: torch.maximum(*h.chunk(2, -1)), "the operator maximum"),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKED)
def test_other_splits_are_left_whole_with_a_reason(name):
    function, reason = BLOCKED[name]
    found = inspect(written(function), draw(2, 5))
    assert reason in next(layer.reason for layer in found.layers if layer.name == "a")


def test_a_split_of_more_than_the_neurons_is_told_as_such():
    def beside(net, x):
        return net.b(F.glu(torch.cat([net.a(x), net.c(x)], -1)))

    def flattened(net, x):
        return net.b(F.glu(net.a(x).flatten(1)))

    joined = Forward(beside, a=nn.Linear(5, 8), c=nn.Linear(5, 8), b=nn.Linear(8, 3))
    flat = Forward(flattened, a=nn.Conv1d(5, 4, 1), b=nn.Linear(8, 3))
    for net, x in ((joined, draw(2, 5)), (flat, draw(2, 5, 4))):
        (layer, *_) = inspect(net, x).layers
        assert "holds more than one entry for each neuron" in layer.reason


def test_a_layer_that_is_read_whole_and_in_parts_is_left_whole():
    def forward(net, x):
        h = net.a(x)
        return net.b(F.glu(h)) + net.c(h)

    net = Forward(forward, a=nn.Linear(5, 16), b=nn.Linear(8, 3), c=nn.Linear(16, 3))
    (layer, *_) = inspect(net, draw(2, 5)).layers
    assert layer.reason == "its output is read both whole and in parts"


FIXED = {
    "split": lambda h: torch.mul(*h.split(8, -1)),
    "slices": lambda h: h[..., :8] * h[..., 8:].tanh(),
}


@pytest.mark.parametrize("name", FIXED)
def test_sizes_in_the_code_are_told(name):
    with pytest.raises(UnsupportedModelError, match=r"chunk\(2, dim\) and glu take any width"):
        prune(written(FIXED[name]), draw(2, 5), keep=0.5, queries=Gaussian())


@pytest.mark.parametrize("name", ["geglu", "thirds"])
def test_other_axes_may_have_sizes_that_vary(name):
    model, (x,) = built(name)
    shapes = (({0: torch.export.Dim("batch")},),)
    result = prune(model, x, keep=0.5, queries=Gaussian(), dynamic_shapes=shapes)
    assert [record.kept for record in result.groups] == [one.kept for one in pruned(name).groups]


def test_parts_of_sizes_that_vary_are_left_whole():
    net = written(lambda h: torch.mul(*h.chunk(2, 1)), read=16)
    shapes = (({1: 2 * torch.export.Dim("half", min=2)},),)
    (layer, *_) = inspect(net, draw(2, 4, 5), dynamic_shapes=shapes).layers
    assert layer.neurons is None


def test_a_split_along_positions_keeps_the_neurons():
    net = written(lambda h: torch.mul(*h.relu().chunk(2, 1)), read=16)
    result = prune(net, draw(2, 4, 5), keep=0.5, queries=Gaussian())
    assert (result.model.a.out_features, result.model.b.in_features) == (8, 8)


def test_spans_of_both_halves_follow_a_cut():
    model, x = built("halves")
    (group,) = find_groups(prepare(model, x).graph).groups
    assert spans_of(group)["a.weight", 0] == ((0, 8), (8, 16))
    cut = Cut(group=group, indices=torch.tensor([1, 2, 7]), weights=())
    assert spans_of(group, [cut])["a.weight", 0] == ((0, 3), (3, 6))
