"""Channels stay within their ranges, and what a network evaluates within their error."""

import pytest
import torch
from channels import conv, within
from convolutional import norm
from networks import Forward, draw, named
from torch import nn

from coreprune.errors import ArgumentError
from coreprune.graph.partition import find_groups
from coreprune.graph.ranges import ranges
from coreprune.shells.torch_module.subject import prepare

MIDDLES = {
    "a function": lambda: (nn.GELU(),),
    "a normalisation": lambda: (norm(6), nn.Tanh()),
    "the largest": lambda: (nn.Sigmoid(), nn.MaxPool2d(3, 2, padding=1)),
    "means": lambda: (nn.Sigmoid(), nn.AvgPool2d(2), norm(6)),
    "zeros around": lambda: (nn.Sigmoid(), nn.ZeroPad2d(1), nn.ELU()),
    "kernels": lambda: (nn.ReLU(), conv(6, 6, 3, padding=1, groups=6), nn.Hardswish()),
    "kernels without a bias": lambda: (
        nn.Sigmoid(),
        conv(6, 6, 2, groups=6, bias=False),
        nn.SiLU(),
    ),
}


def found(net, *, radius, dtype):
    graph = prepare(net, (draw(1, 2, 9, 9).to(dtype),)).graph
    (group,) = find_groups(graph).groups
    (consumer,) = group.consumers
    return ranges(group, consumer, graph.parameters, graph=graph, radius=radius, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", MIDDLES)
def test_no_image_leaves_the_ranges_and_rounding_stays_within_its_error(name, dtype):
    torch.manual_seed(0)
    middle = {f"m{i}": module for i, module in enumerate(MIDDLES[name]())}
    net = named(a=conv(2, 6, 3, padding=1), **middle, b=conv(6, 3, 1)).eval().to(dtype)
    own = found(net, radius=2.0, dtype=dtype)
    x = 0.99 * within(draw(200, 2, 9, 9), net.a, "patches", radius=2.0)
    x = x.to(dtype)
    with torch.no_grad():
        rough = net[:-1](x).double()
        fine = net[:-1].double()(x.double())
    low, high, error = (one.view(-1, 1, 1) for one in (own.low, own.high, own.error))
    assert (low <= fine).all()
    assert (fine <= high).all()
    assert ((rough - fine).abs() <= error).all()
    share = 1e-3 if dtype == torch.float32 else 0.5
    assert (own.error < share * (own.high - own.low)).all()
    reached = fine.amax((0, 2, 3)) - fine.amin((0, 2, 3))
    assert (reached > 0.2 * (own.high - own.low)).any()


def test_what_may_overflow_has_no_bound():
    net = named(a=conv(2, 6, 3), r=nn.ReLU(), b=conv(6, 3, 1)).eval().half()
    assert found(net, radius=1e6, dtype=torch.float16).error.isinf().any()


def test_what_is_multiplied_is_refused():
    net = Forward(
        lambda m, x: (lambda h: m.b(h * h.sigmoid()))(m.a(x)), a=conv(2, 6, 3), b=conv(6, 3, 1)
    ).eval()
    with pytest.raises(ArgumentError, match="nothing is added to or multiplied"):
        found(net, radius=1.0, dtype=torch.float32)
