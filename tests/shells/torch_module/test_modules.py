import pytest
import torch
from network_asserts import snapshot
from networks import Counting, Packed, draw, mlp, named, slopes, trained_norm
from torch import nn

import coreprune
from coreprune.errors import ArgumentError
from coreprune.shells.torch_module.modules import copied, nonfinite, put, unwrapped, with_tensors
from coreprune.shells.torch_module.tensors import tensors_of


def test_a_copy_has_no_gradients_and_shares_nothing():
    net = mlp(3, 4, 2)
    net(draw(2, 3)).sum().backward()
    clone = copied(net)
    assert all(parameter.grad is None for parameter in clone.parameters())
    assert all(parameter.grad is not None for parameter in net.parameters())
    with torch.no_grad():
        clone[0].weight.zero_()
    assert net[0].weight.abs().sum() > 0


def test_tensors_of_other_shapes_set_the_sizes_of_their_layers():
    net = named(
        a=nn.Linear(3, 4), n=trained_norm(4), s=slopes(4), b=nn.Linear(4, 2), one=nn.PReLU()
    )
    rows = {
        name: tensor[:3]
        for name, tensor in tensors_of(net).items()
        if name[0] in "ans" and tensor.ndim
    }
    small = with_tensors(net, rows | {"b.weight": net.b.weight.detach()[:, :3]})
    assert (small.a.in_features, small.a.out_features) == (3, 3)
    assert (small.b.in_features, small.b.out_features) == (3, 2)
    assert (small.n.num_features, small.s.num_parameters, small.one.num_parameters) == (3, 3, 1)
    assert (net.a.out_features, net.n.num_features) == (4, 4)
    assert small(draw(5, 3)).shape == (5, 2)


def test_layers_that_are_not_cut_keep_what_they_say_of_themselves():
    net = named(a=nn.Linear(3, 3), p=Packed())
    small = with_tensors(net, {"a.weight": torch.zeros(3, 2)})
    assert (small.a.in_features, small.p.in_features, small.p.out_features) == (2, 3, 3)


def test_tied_tensors_stay_tied_and_frozen_ones_frozen():
    net = named(a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    net.b.weight = net.a.weight
    net.a.bias.requires_grad_(False)
    small = with_tensors(net, {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)})
    assert small.b.weight is small.a.weight
    assert small.b.out_features == 2
    assert not small.a.bias.requires_grad


def test_values_take_the_type_of_the_module():
    net = nn.Linear(3, 2).half()
    put(net, {"weight": torch.ones(2, 3, dtype=torch.float64)})
    assert net.weight.dtype == torch.float16


def test_statistics_that_are_not_finite_are_named_masks_are_not():
    net = named(c=Counting(), n=trained_norm(3))
    assert nonfinite(net) == []
    net.n.running_var[1] = torch.nan
    net.c.net[0].bias.data[0] = torch.inf
    assert nonfinite(net) == ["c.net.0.bias", "n.running_var"]


def test_nested_wrappers_come_off():
    net = mlp(3, 4, 2)
    assert unwrapped(nn.DataParallel(nn.DataParallel(net))) is net
    assert unwrapped(torch.compile(nn.DataParallel(net), backend="eager")) is net


def test_a_module_called_module_is_no_wrapper():
    net = named(module=nn.Linear(3, 2))
    assert unwrapped(net) is net


@pytest.mark.parametrize("model", [None, "x", nn.Linear, 3])
def test_only_modules_are_modules(model):
    with pytest.raises(ArgumentError, match=r"must be a torch\.nn\.Module, got"):
        unwrapped(model)


def test_copying_touches_nothing():
    net = mlp(3, 4, 2)
    before = snapshot(net)
    with_tensors(net, {"0.weight": torch.zeros(2, 3)})
    assert snapshot(net) == before


class Remembering(nn.Module):
    """Keeps what its layers gave in plain attributes."""

    def __init__(self):
        super().__init__()
        self.a, self.kept = nn.Linear(3, 2), {}

    def forward(self, x):
        self.kept["last"] = [self.a(x)]
        return self.kept["last"][0].relu()


def test_what_a_call_left_in_plain_attributes_is_copied_without_its_history():
    net = Remembering()
    net(draw(4, 3))
    last = copied(net).kept["last"][0]
    assert torch.equal(last, net.kept["last"][0])
    assert not last.requires_grad
    assert net.kept["last"][0].requires_grad


def test_hooks_that_write_into_the_module_they_belong_to_do_not_stop_anything():
    net = mlp(6, 20, 3)
    net.seen = []
    net[0].register_forward_hook(lambda *call: net.seen.append(call[-1].detach()))
    assert coreprune.prune(net, draw(2, 6), keep=0.5).model[0].out_features == 10
    assert coreprune.prune(net, draw(2, 6), keep=0.5).model[0].out_features == 10
