import pytest
import torch
from networks import Forward, Raw, draw, mlp
from torch import nn

from coreprune.shells.calls import Call
from coreprune.shells.torch_module.layer_inputs import largest_input_norms, watch_outputs
from coreprune.shells.torch_module.running import run
from coreprune.shells.torch_module.tensors import tensors_of


def norms(model, *calls, names):
    tensors = tensors_of(model)
    wanted = {name: tensors[name] for name in names}
    return largest_input_norms(model, [Call(args=(x,)) for x in calls], wanted).rows


def test_the_largest_norm_over_all_calls():
    net, small, large = mlp(6, 12, 3), draw(4, 6), 3 * draw(9, 6)
    found = norms(net, small, large, small, names=["0.weight", "2.weight"])
    assert found["0.weight"] == pytest.approx(float(large.norm(dim=1).max()))
    hidden = torch.cat([net[0](small), net[0](large)]).relu()
    assert found["2.weight"] == pytest.approx(hidden.norm(dim=1).max().item(), rel=1e-5)


def test_rows_of_sequences_count_one_by_one():
    x = draw(4, 5, 6)
    found = norms(mlp(6, 12, 3), x, names=["0.weight"])
    assert found["0.weight"] == pytest.approx(float(x.norm(dim=-1).max()))


def test_weights_without_layers_by_position_and_by_keyword():
    net, x = Raw(), draw(4, 6)
    found = norms(net, x, names=["first", "second"])
    assert found["first"] == pytest.approx(float(x.norm(dim=1).max()))
    assert found["second"] > 0


def test_the_feed_forward_half_of_an_encoder_is_seen():
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert norms(net, draw(2, 5, 8), names=["linear1.weight"])["linear1.weight"] > 1


def test_a_layer_that_is_not_reached_has_none():
    net = Forward(lambda m, x: m.a(x), a=nn.Linear(6, 3), b=nn.Linear(6, 3))
    assert norms(net, draw(4, 6), names=["b.weight"]) == {"b.weight": 0.0}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_is_infinite(value):
    bad = torch.full((1, 6), value)
    found = norms(nn.Linear(6, 3), draw(4, 6), bad, draw(4, 6), names=["weight"])
    assert found["weight"] == torch.inf


def watched(model, x, *, names, gradients=True):
    tensors, seen = tensors_of(model), []
    weights = {name: tensors[name] for name in names}
    with watch_outputs(weights, lambda *use: seen.append(use[:2])):
        output = run(model, Call(args=(x,)), gradients=gradients)
    return seen, output


def test_outputs_are_handed_over_in_order_and_change_nothing():
    net, x = mlp(6, 12, 3), draw(4, 6)
    seen, output = watched(net, x, names=["0.weight", "2.weight"])
    assert [name for name, _ in seen] == ["0.weight", "2.weight"]
    assert torch.equal(seen[0][1], net[0](x))
    assert torch.equal(seen[1][1], output)
    assert torch.equal(output, net(x))


@pytest.mark.parametrize("frozen", [False, True])
def test_derivatives_by_outputs_can_be_taken(frozen):
    net, x = mlp(6, 12, 3).requires_grad_(not frozen), draw(4, 6)
    seen, output = watched(net, x, names=["0.weight", "2.weight"])
    first, last = torch.autograd.grad(output.sum(), [given for _, given in seen])
    assert torch.equal(last, torch.ones(4, 3))
    expected = net[2].weight.detach().sum(0) * (net[0](x) > 0)
    torch.testing.assert_close(first, expected.detach())


def test_outputs_keep_their_values_when_what_follows_writes_into_them():
    net, x = (
        Forward(lambda m, x: m.b(m.a(x).relu_()), a=nn.Linear(6, 5), b=nn.Linear(5, 2)),
        draw(4, 6),
    )
    ((_, given),), _ = watched(net, x, names=["a.weight"])
    assert torch.equal(given, net.a(x))
    assert (given < 0).any()


def test_rows_that_do_not_exist_are_not_handed_over():
    assert watched(mlp(6, 12, 3), torch.zeros(0, 6), names=["0.weight"])[0] == []


def test_layers_outside_the_watch_are_let_through():
    seen, output = watched(mlp(6, 12, 3), draw(4, 6), names=[])
    assert seen == []
    assert output.shape == (4, 3)
