from dataclasses import replace

import torch
from networks import Forward, mlp, named, trained_norm
from torch import nn

from coreprune.core.chain_range import preactivations
from coreprune.graph.ir import Norm
from coreprune.graph.partition import find_groups
from coreprune.graph.runs import links_of, precision_of, runs_of
from coreprune.shells.torch_module.subject import prepare

X = torch.linspace(-1, 1, 10).reshape(2, 5)


def runs(model):
    subject = prepare(model, X)
    return runs_of(find_groups(subject.graph).groups), subject.graph.parameters


def test_a_plain_chain_is_one_run():
    torch.manual_seed(0)
    net = mlp(5, 7, 6, 3)
    (run,), parameters = runs(net)
    assert run.name == "0 → 4"
    assert [group.name for group in run.groups] == ["0", "2"]
    links = links_of(run, parameters)
    assert torch.allclose(preactivations(links, X.double())[-1], net.double()(X.double()))


def test_normalisations_on_either_side_are_folded_and_the_function_stays():
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(5, 7), n=trained_norm(7), r=nn.ReLU(), m=trained_norm(7), o=trained_norm(7),
        b=nn.Linear(7, 6, bias=False), p=trained_norm(6), c=nn.Linear(6, 2),
    ).eval()  # fmt: skip
    (run,), parameters = runs(net)
    links = links_of(run, parameters)
    assert [link.activation.name for link in links] == ["relu", "identity", "identity"]
    wanted = net.double()(X.double())
    assert torch.allclose(preactivations(links, X.double())[-1], wanted, atol=1e-10)


def test_a_run_ends_where_neurons_have_several_readers():
    torch.manual_seed(0)

    def forward(m, x):
        h = torch.relu(m.a(x))
        return m.out(torch.relu(m.b(h))) + m.c(h)

    net = Forward(
        forward, a=nn.Linear(5, 7), b=nn.Linear(7, 6), c=nn.Linear(7, 2), out=nn.Linear(6, 2)
    )
    found, _ = runs(net)
    assert sorted(run.name for run in found) == ["a → b", "a → c", "b → out"]


def test_folding_keeps_the_magnitudes_that_a_bias_is_the_sum_of():
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(5, 7), n=trained_norm(7), r=nn.ReLU(), m=trained_norm(7), b=nn.Linear(7, 2)
    ).eval()
    (run,), parameters = runs(net)
    first, last = links_of(run, parameters)
    sizes = []
    for norm in (net.n, net.m):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        sizes.append((scale, (norm.running_mean * scale).abs() + norm.bias.abs()))
    wanted = sizes[0][0] * net.a.bias.abs() + sizes[0][1]
    assert torch.allclose(first.bias_size.float(), wanted)
    wanted = net.b.bias.abs() + net.b.weight.abs() @ sizes[1][1]
    assert torch.allclose(last.bias_size.float(), wanted)
    assert first.roundings == last.roundings > 0


def test_a_mean_that_takes_a_constant_is_taken_off_what_the_reader_gives():
    torch.manual_seed(0)
    norm = trained_norm(3)
    net = named(
        a=nn.Linear(5, 7), r=nn.ReLU(), b=nn.Linear(7, 3, bias=False), n=norm
    ).eval()  # fmt: skip
    (run,), parameters = runs(net)
    given = preactivations(links_of(run, parameters), X.double())[-1]
    inner = net.b(torch.relu(net.a(X)))
    assert torch.allclose(given.float(), inner - norm.running_mean, atol=1e-6)
    whole = links_of(replace(run, behind=(norm_of(net),)), parameters)
    assert torch.allclose(preactivations(whole, X.double())[-1].float(), net(X), atol=1e-6)


def norm_of(net):
    (found,) = [node for node in prepare(net, X).graph.nodes if isinstance(node, Norm)]
    return found


def test_a_run_runs_in_the_coarsest_type_of_its_tensors():
    (run,), parameters = runs(mlp(5, 7, 3))
    assert precision_of(run, parameters) == torch.float32
    mixed = parameters | {"2.bias": parameters["2.bias"].bfloat16()}
    assert precision_of(run, mixed) == torch.bfloat16
