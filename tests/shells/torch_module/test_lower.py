import pytest
import torch
from networks import CASES, Raw, draw, mlp, named
from torch import nn

from coreprune.graph.ir import Affine, Elementwise
from coreprune.graph.layer import layer_of
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.names import affine_name
from coreprune.shells.torch_module.operators import activation_of, is_whole_slice
from coreprune.shells.torch_module.subject import prepare
from coreprune.shells.torch_module.tensors import canonical_names, tensors_of


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.chain])
def test_the_graph_computes_what_the_network_computes(name):
    """Σ_j w_ij φ_j(p_j·x + b_j) + c_i, read off the graph alone."""
    torch.manual_seed(0)
    case = CASES[name]
    subject = prepare(case.make(), case.args)
    (group,) = find_groups(subject.graph).groups
    (consumer,) = group.consumers
    layer = layer_of(group, consumer, subject.graph.parameters)
    x = 3 * draw(50, 6)
    hidden = x.double() @ layer.points.double().T + layer.bias.double()
    shift = subject.graph.parameters[consumer.affine.bias]
    obtained = layer.activation(hidden) @ layer.weights.double().T + shift
    torch.testing.assert_close(obtained.float(), subject.working(x).detach())


def test_a_tensor_with_two_names_goes_by_its_first():
    net = named(a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    net.b.weight = net.a.weight
    assert canonical_names(net)["b.weight"] == "a.weight"
    assert list(tensors_of(net)) == ["a.weight", "a.bias", "b.bias"]


def test_layers_that_share_a_weight_keep_their_names():
    case = CASES["tied weights"]
    graph = prepare(case.make(), case.args).graph
    affines = [node for node in graph.nodes if isinstance(node, Affine)]
    assert [node.name for node in affines] == ["a", "b", "c", "d"]
    assert affines[1].weight == affines[2].weight == "b.weight"


@pytest.mark.parametrize(
    ("weight", "bias", "name"),
    [
        ("a.weight", "a.bias", "a"),
        ("a.weight", None, "a"),
        ("a.weight", "b.bias", "b"),
        ("weight", None, "weight"),
        ("net.first", "net.shift", "net.first"),
        ("first", None, "first"),
    ],
)
def test_names_of_layers(weight, bias, name):
    assert affine_name(weight, bias) == name


def test_raw_weights_of_a_module_are_layers_of_their_own():
    graph = prepare(named(net=Raw()), draw(4, 6)).graph
    names = [node.name for node in graph.nodes if isinstance(node, Affine)]
    assert names == ["net.first", "net.second", "net.third"]


def test_sizes_that_data_decide_do_not_stop_it():
    case = CASES["rows chosen by data"]
    graph = prepare(case.make(), case.args).graph
    assert [node.name for node in graph.nodes if isinstance(node, Affine)] == ["a", "b"]


def test_values_are_known_with_their_shapes():
    graph = prepare(mlp(6, 12, 3), draw(4, 6)).graph
    first, act, last = graph.nodes
    assert (first.output, act.output) == (act.input, last.input)
    assert isinstance(act, Elementwise)
    assert graph.shapes[first.output] == (4, 12)
    assert graph.outputs == {last.output}


def one_operator(operator, *args):
    graph = torch.fx.Graph()
    return graph.call_function(operator, (graph.placeholder("x"), *args))


@pytest.mark.parametrize(
    ("operator", "args", "known"),
    [
        (torch.ops.aten.dropout.default, (0.5, False), True),
        (torch.ops.aten.dropout.default, (0.5, True), False),
        (torch.ops.aten.ge.Scalar, (0.0,), True),
        (torch.ops.aten.eq.Scalar, (0.0,), False),
    ],
)
def test_what_is_an_activation(operator, args, known):
    assert (activation_of(one_operator(operator, *args)) is not None) == known


@pytest.mark.parametrize(
    ("bounds", "whole"),
    [
        ((1, 0, 12), True),
        ((1, 0, 2**63 - 1), True),
        ((-1, None, None), True),
        ((1,), True),
        ((1, 0, 11), False),
        ((1, 1, 12), False),
        ((1, 0, 12, 2), False),
        ((1, -12, 12), False),
    ],
    ids=str,
)
def test_only_a_whole_slice_lets_neurons_pass(bounds, whole):
    node = one_operator(torch.ops.aten.slice.Tensor, *bounds)
    node.args[0].meta["val"] = torch.zeros(4, 12)
    assert is_whole_slice(node) == whole
