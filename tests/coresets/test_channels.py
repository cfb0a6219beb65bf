import pytest
import torch
from convolutional import norm
from networks import draw, named
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune import Samples, prune
from coreprune.coresets.moments import GroupMoments
from coreprune.coresets.views import Run
from coreprune.graph.partition import find_groups
from coreprune.shells.torch_module.subject import prepare


def network(*, bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    reader = nn.Conv2d(8, 5, 3, padding=1, stride=2, bias=bias)
    return named(
        a=nn.Conv2d(3, 8, 3, padding=1), n=norm(8), r=nn.ReLU(), b=reader, m=norm(5), s=nn.SiLU(),
        p=nn.AdaptiveAvgPool2d(1), f=nn.Flatten(), c=nn.Linear(5, 4),
    ).eval()  # fmt: skip


def read_by(net: nn.Module, name: str, x: Tensor) -> Tensor:
    """What a layer gives."""
    seen = []
    with net.get_submodule(name).register_forward_hook(lambda *_: seen.append(_[2].detach())):
        net(x)
    return seen[0]


def test_moments_are_those_of_all_patches_borders_included():
    net, x = network(), draw(60, 3, 8, 8)
    subject = prepare(net, x[:2])
    groups = find_groups(subject.graph).groups
    moments = GroupMoments(subject, groups, law=Samples(x), seed=0)
    (got,) = Run(moments).of(groups[0], subject.graph.parameters)
    h = net.r(net.n(net.a(x))).detach().double()
    rows = F.unfold(h, 3, padding=1, stride=2).mT.flatten(0, 1)
    torch.testing.assert_close(got.mean, rows.mean(0))
    torch.testing.assert_close(got.covariance, rows.T.cov(correction=0))


@pytest.mark.parametrize("method", ["optimal", "backward", "forward"])
def test_the_expected_error_is_what_the_reader_is_off_by_at_every_place(method):
    net, x = network(), draw(400, 3, 8, 8)
    result = prune(net, x[:2], keep={"a": 0.5}, queries=Samples(x), method=method)
    off = read_by(net, "b", x).double() - read_by(result.model, "b", x).double()
    size = off.square().mean().sqrt().item()
    assert result.groups[0].expected_error == pytest.approx(size, rel=1e-3)
    assert off.mean((0, 2, 3)).abs().amax() < 1e-5  # the constant went into the bias


def test_without_a_bias_the_constant_goes_into_the_normalisation_behind():
    net, x = network(bias=False), draw(400, 3, 8, 8)
    result = prune(net, x[:2], keep={"a": 0.5}, queries=Samples(x))
    off = read_by(net, "m", x).double() - read_by(result.model, "m", x).double()
    assert off.mean((0, 2, 3)).abs().amax() < 1e-5
    assert not torch.equal(result.model.m.running_mean, net.m.running_mean)
    torch.testing.assert_close(result.model.m.running_var, net.m.running_var)


def test_the_best_weights_are_better_than_any_others_near_them():
    net, x = network(), draw(400, 3, 8, 8)
    small = prune(net, x[:2], keep={"a": 0.5}, queries=Samples(x)).model
    wanted = read_by(net, "b", x)
    least = (read_by(small, "b", x) - wanted).square().mean()
    for seed in range(5):
        direction = torch.randn(small.b.weight.shape, generator=torch.Generator().manual_seed(seed))
        for sign in (-1, 1):
            weight = small.b.weight.detach().clone()
            small.b.weight.data = weight + sign * 0.01 * direction
            assert (read_by(small, "b", x) - wanted).square().mean() > least
            small.b.weight.data = weight


def test_copies_and_channels_that_are_never_active_go_without_a_loss():
    net = network()
    with torch.no_grad():
        net.a.weight[3], net.a.bias[3] = net.a.weight[1], net.a.bias[1]
        for tensor in (net.n.weight, net.n.bias, net.n.running_mean, net.n.running_var):
            tensor[3] = tensor[1]
        net.n.bias[5], net.n.weight[5] = -1e6, 1.0
    x = draw(20, 3, 8, 8)
    result = prune(net, x, lossless=True)
    assert set(range(8)) - set(result.groups[0].kept) in ({1, 5}, {3, 5})
    torch.testing.assert_close(result.model(x), net(x))


def test_what_a_reader_sees_too_much_of_at_once_stays_whole(monkeypatch):
    net, x = network(), draw(40, 3, 8, 8)
    monkeypatch.setattr("coreprune.prospect.MOST", 71)
    result = prune(net, x[:2], keep=0.5, queries=Samples(x))
    assert [group.name for group in result.groups] == ["b"]
    assert "72 numbers of it at once" in {one.name: one.reason for one in result.whole}["a"]
    assert len(prune(net, x[:2], keep=0.5, method="magnitude").groups) == 2
