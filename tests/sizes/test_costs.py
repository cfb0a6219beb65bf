"""Costs by their formula against counting what cut networks really hold and do."""

import dataclasses

import pytest
import torch
from networks import Forward, Raw, draw, mlp, named, slopes, trained_norm
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from coreprune import prune
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.flops import flops
from coreprune.shells.torch_module.subject import prepare
from coreprune.sizes.costs import (
    Cost,
    Term,
    byte_cost,
    flop_cost,
    neuron_cost,
    parameter_cost,
    saving,
)


def counted(model):
    return sum(p.numel() for p in model.parameters())


def in_bytes(model):
    return sum(p.numel() * p.element_size() for p in model.parameters())


def operations(model, *args):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args)
    return counter.get_total_flops()


def several_readers():
    return Forward(
        lambda m, x: (lambda h: (m.b(h.relu()), m.c(m.n(h).tanh())))(m.a(x)),
        a=nn.Linear(6, 12),
        n=trained_norm(12),
        b=nn.Linear(12, 3),
        c=nn.Linear(12, 4, bias=False),
    )


def mixed_types():
    net = mlp(6, 12, 9, 3)
    net[2].half()
    return Forward(
        lambda m, x: m.n[4](m.n[2](m.n[0](x).relu().half()).relu().float()),
        n=net,
    )


NETWORKS = {
    "three layers": lambda: mlp(6, 12, 9, 3),
    "without biases": lambda: mlp(6, 12, 9, 3, bias=False),
    "a norm": lambda: named(a=nn.Linear(6, 12), n=trained_norm(12), r=nn.ReLU(), b=mlp(12, 9, 3)),
    "a norm without scale": lambda: named(
        a=nn.Linear(6, 12), n=trained_norm(12, affine=False), b=mlp(12, 9, 3)
    ),
    "slopes": lambda: named(a=nn.Linear(6, 12), s=slopes(12), b=mlp(12, 9, 3)),
    "one slope": lambda: named(a=nn.Linear(6, 12), s=nn.PReLU(), b=mlp(12, 9, 3)),
    "several readers": several_readers,
    "weights in a buffer": Raw,
    "half precision": lambda: mlp(6, 12, 9, 3).half(),
    "both precisions": mixed_types,
}


def example(model):
    return draw(4, 6).to(next(model.parameters()).dtype)


def costs(model, x, *, skip=()):
    subject = prepare(model, x)
    groups = find_groups(subject.graph, skip=skip).groups
    trained = dict(subject.working.named_parameters())
    return groups, {
        "parameters": parameter_cost(groups, trained),
        "bytes": byte_cost(groups, trained),
        "flops": flop_cost(groups, subject.graph, total=flops(subject.working, subject.call)),
        "neurons": neuron_cost(groups),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_costs_are_what_a_whole_and_a_cut_model_have(name):
    model = NETWORKS[name]().eval()
    x = example(model)
    groups, known = costs(model, x)
    result = prune(model, x, keep=0.3, method="magnitude")
    whole = {group.name: group.neurons for group in groups}
    cut = {group.name: group.neurons_after for group in result.groups}
    for widths, module in ((whole, model), (cut, result.model)):
        assert known["parameters"].of(widths) == counted(module)
        assert known["bytes"].of(widths) == in_bytes(module)
        assert known["neurons"].of(widths) == sum(widths.values())
        assert known["flops"].of(widths) == operations(module, x)


def test_operations_count_sequences_row_by_row():
    model, x = mlp(6, 12, 9, 3).eval(), draw(4, 5, 6)
    _, known = costs(model, x)
    result = prune(model, x, keep={"0": 0.25, "2": 0.8}, method="magnitude")
    widths = {group.name: group.neurons_after for group in result.groups}
    assert widths == {"0": 3, "2": 7}
    assert known["flops"].of(widths) == operations(result.model, x)
    assert known["flops"].of(widths) == 2 * 20 * (6 * 3 + 3 * 7 + 7 * 3)


def test_operations_of_layers_that_stay_are_fixed():
    model = named(c=nn.Conv2d(1, 2, 3), r=nn.ReLU(), f=nn.Flatten(), m=mlp(32, 12, 3)).eval()
    x = draw(4, 1, 6, 6)
    _, known = costs(model, x, skip=["c"])
    result = prune(model, x, keep=0.5, method="magnitude", skip=["c"])
    assert known["flops"].of({"m.0": 6}) == operations(result.model, x)
    assert known["flops"].fixed == operations(model.c, x)


def test_channels_cost_what_their_kernels_cost_at_every_place():
    model = named(
        a=nn.Conv2d(3, 8, 3, padding=1),
        r=nn.ReLU(),
        d=nn.Conv2d(8, 8, 3, groups=8),
        p=nn.MaxPool2d(2),
        b=nn.Conv2d(8, 6, 1),
        s=nn.SiLU(),
        f=nn.Flatten(),
        m=mlp(24, 12, 3),
    ).eval()
    x = draw(4, 3, 6, 6)
    groups, known = costs(model, x)
    assert [group.name for group in groups] == ["a", "b", "m.0"]
    result = prune(model, x, keep=0.5, method="magnitude")
    widths = {"a": 4, "b": 3, "m.0": 6}
    assert known["flops"].of(widths) == operations(result.model, x)
    assert known["parameters"].of(widths) == result.parameters_after


def test_a_weight_between_two_groups_costs_their_product():
    groups, known = costs(mlp(6, 12, 9, 3), draw(4, 6))
    first, second = groups
    assert Term(factor=1, groups=(second.name, first.name)) in known["parameters"].terms
    assert known["parameters"].fixed == 3  # the last bias


def test_a_saving_is_the_difference_of_two_costs():
    cost = Cost(
        fixed=5,
        terms=(Term(factor=2, groups=("a",)), Term(factor=3, groups=("a", "b"))),
    )
    widths = {"a": 7, "b": 4}
    for name, steps in (("a", 1), ("a", 6), ("b", 3)):
        after = {**widths, name: widths[name] - steps}
        found = saving(cost.by_group()[name], name, widths, steps=steps)
        assert found == cost.of(widths) - cost.of(after)
    assert [len(terms) for terms in cost.by_group().values()] == [2, 1]


def test_operations_are_never_fewer_than_those_of_the_groups():
    model = prepare(mlp(6, 12, 3), draw(4, 6))
    groups = find_groups(model.graph).groups
    assert flop_cost(groups, model.graph, total=0.0).fixed == 0


def test_costs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Term(factor=1, groups=()).factor = 2
