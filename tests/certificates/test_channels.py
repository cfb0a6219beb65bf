"""Both networks, run as modules on images within a group's radius, stay within its certificate."""

import copy

import pytest
import torch
from channels import conv, outputs, within
from convolutional import CONVOLUTIONAL, norm
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import draw, named
from torch import nn

import coreprune
from coreprune.certificates import channels as bounds
from coreprune.certificates.of_cut import certificate_of
from coreprune.graph.cut import Cut, shrink
from coreprune.graph.partition import find_groups
from coreprune.laws.space import query_space
from coreprune.shells.torch_module.subject import prepare
from coreprune.shells.torch_module.tensors import tensors_of

STEPS = 25


def worst(one, other, shape, *, space, radius, count=12):
    """The largest change found by ascent over images of all positions and signs at once."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, *shape, generator=generator).requires_grad_()
    best, target = 0.0, None
    for step in range(STEPS):
        change = (outputs(one, x) - outputs(other, x)).flatten(1)
        best = max(best, float(change.detach().abs().max()))
        if target is None:
            target = torch.randint(change.shape[1], (count, 1), generator=generator)
            target[: count // 2] = change[: count // 2].abs().argmax(1, keepdim=True)
            sign = change.gather(1, target).sign().detach()
        (slope,) = torch.autograd.grad((sign * change.gather(1, target)).sum(), x)
        length = slope.flatten(1).norm(dim=1).clamp_min(1e-30).view(-1, *[1] * len(shape))
        with torch.no_grad():
            moved = x + 0.5 * 0.9**step * radius * slope / length
            x = within(moved, one.a, space, radius=radius).requires_grad_()
    return best


NETWORKS = {
    "3 by 3 twice": (lambda: named(a=conv(2, 8, 3, padding=1), r=nn.ReLU(),
        b=conv(8, 4, 3, padding=1)), (2, 7, 7)),
    "strides": (lambda: named(a=conv(2, 8, 3, stride=2, padding=1), r=nn.GELU(),
        b=conv(8, 4, 3, stride=2, padding=2)), (2, 9, 9)),
    "dilations": (lambda: named(a=conv(2, 8, 2, dilation=2), r=nn.SiLU(),
        b=conv(8, 4, (3, 2), dilation=(2, 3), padding=(3, 1))), (2, 9, 9)),
    "normalised": (lambda: named(a=conv(2, 8, 3, bias=False), m=norm(8), r=nn.ReLU(),
        b=conv(8, 4, 3, padding=1)), (2, 7, 7)),
    "normalised behind": (lambda: named(a=conv(2, 8, 3), r=nn.Tanh(), m=norm(8),
        b=conv(8, 4, 3, padding=1)), (2, 7, 7)),
    "a mean for the constant": (lambda: named(a=conv(2, 8, 3), r=nn.Sigmoid(),
        b=conv(8, 4, 3, padding=1, bias=False), n=norm(4)), (2, 7, 7)),
    "one axis": (lambda: named(a=conv(2, 8, 5, rank=1, padding=2), r=nn.ELU(),
        b=conv(8, 4, 4, rank=1, stride=3, padding=2)), (2, 20)),
    "three axes": (lambda: named(a=conv(1, 6, 2, rank=3), r=nn.ReLU(),
        b=conv(6, 3, 2, rank=3, padding=1)), (1, 4, 4, 4)),
    "one tap": (lambda: named(a=conv(2, 8, 3), r=nn.Hardswish(), b=conv(8, 4, 1, padding=1)),
        (2, 6, 6)),
    "flattened": (lambda: named(a=conv(2, 6, 3), r=nn.Softplus(), f=nn.Flatten(),
        b=nn.Linear(6 * 9, 4)), (2, 5, 5)),
    "a mean of all": (lambda: named(a=conv(2, 8, 3), r=nn.ReLU(), p=nn.AdaptiveAvgPool2d(1),
        f=nn.Flatten(), b=nn.Linear(8, 4)), (2, 6, 6)),
    "means with zeros": (lambda: named(a=conv(2, 8, 3), r=nn.Sigmoid(),
        p=nn.AvgPool2d(3, 2, padding=1), b=conv(8, 4, 1)), (2, 7, 7)),
    "means and taps": (lambda: named(a=conv(2, 8, 3, padding=1), r=nn.Sigmoid(), m=norm(8),
        p=nn.AvgPool2d(2), b=conv(8, 4, 3, padding=1)), (2, 8, 8)),
    "resized": (lambda: named(a=conv(2, 8, 3), r=nn.ReLU(), p=nn.Upsample(scale_factor=2,
        mode="bilinear"), b=conv(8, 4, 3)), (2, 6, 6)),
    "the largest": (lambda: named(a=conv(2, 8, 3), r=nn.GELU(), p=nn.MaxPool2d(2, padding=1),
        b=conv(8, 4, 3, padding=1)), (2, 8, 8)),
    "pooled before": (lambda: named(a=conv(2, 8, 3), p=nn.AvgPool2d(2), r=nn.Sigmoid(),
        b=conv(8, 4, 2)), (2, 8, 8)),
    "kernels of their own": (lambda: named(a=conv(2, 8, 3), r=nn.ReLU6(),
        k=conv(8, 8, 3, padding=1, groups=8), s=nn.Hardswish(), b=conv(8, 4, 1)), (2, 8, 8)),
}  # fmt: skip


def built(name, **options):
    torch.manual_seed(len(name))
    make, shape = NETWORKS[name]
    net = make().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
    result = coreprune.prune(
        net, draw(2, *shape), **{"keep": {"a": 0.6}, "queries": coreprune.Gaussian(), **options}
    )
    (record,) = result.groups
    return net, result, record, shape


@pytest.mark.parametrize("method", ["magnitude", "optimal"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_image_beats_a_certificate(name, method):
    net, result, record, shape = built(name, method=method)
    assert record.certificate_radius >= record.query_radius * (1 - 1e-6)
    found = worst(
        net, result.model, shape, space=record.certificate_space, radius=record.certificate_radius
    )
    assert 0 < found <= record.certificate


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("strides", "inputs of the layer whose windows of 7×7 positions have norm at most"),
        ("flattened", "inputs of the layer whose windows of 5×5 positions have norm at most"),
        ("one tap", "inputs of the layer whose patches have norm at most"),
        ("means and taps", "inputs of the layer whose patches have norm at most"),
        ("the largest", "only the ranges of its channels are known to some of its readers"),
    ],
)
def test_every_certificate_names_its_inputs(name, words):
    _, result, record, _ = built(name, method="magnitude")
    assert words in record.certificate_space
    assert result.to_json()["groups"][0]["certificate_space"] == record.certificate_space


@pytest.mark.parametrize("name", ["3 by 3 twice", "one axis", "flattened", "one tap"])
def test_one_linear_channel_that_goes_is_bounded_tightly(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    net = make().eval()
    net.r = nn.Identity()
    with torch.no_grad():
        net.a.bias.zero_()
        net.a.weight[0].mul_(1e-2)  # the one that goes
    result = coreprune.prune(net, draw(2, *shape), keep={"a": 0.9}, method="magnitude")
    (record,) = result.groups
    assert len(record.kept) == len(net.a.weight) - 1
    found = worst(
        net, result.model, shape, space=record.certificate_space, radius=record.certificate_radius
    )
    assert 0.9 * record.certificate < found <= record.certificate


axis = st.tuples(
    st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2),  # the producer
    st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2),  # the reader
)  # fmt: skip


@settings(deadline=None, max_examples=15)
@given(
    st.lists(axis, min_size=1, max_size=2),
    st.sampled_from([nn.ReLU, nn.Sigmoid, nn.GELU, nn.Softplus]),
    st.booleans(),
    st.integers(0, 99),
)
def test_no_image_beats_the_certificate_of_a_random_cut(drawn, act, normal, seed):
    kp, sp, dp, pp, kq, sq, dq, pq = zip(*drawn, strict=True)
    torch.manual_seed(seed)
    rank = len(kp)
    middle = {"m": (nn.BatchNorm1d, nn.BatchNorm2d)[rank - 1](5)} if normal else {}
    net = named(
        a=conv(2, 5, kp, rank=rank, stride=sp, dilation=dp, padding=pp),
        **middle,
        r=act(),
        b=conv(5, 3, kq, rank=rank, stride=sq, dilation=dq, padding=pq),
    ).eval()
    if normal:
        net.m.running_mean.uniform_(-1, 1)
        net.m.running_var.uniform_(0.2, 2)
    shape = (2, *[14] * rank)
    subject = prepare(net, (draw(1, *shape),))
    (group,) = find_groups(subject.graph).groups
    space = query_space(subject, [group], queries=None, seed=0)
    before = subject.graph.parameters
    taps = group.consumers[0].taps
    cut = Cut(
        group=group,
        indices=torch.tensor([0, 2, 3]),
        weights=(torch.randn(3, 3 * taps),),
        shifts={group.consumers[0].constant: torch.randn(3)},
    )
    after = shrink(before, cut)
    proven = certificate_of(cut, before, after, space=space, graph=subject.graph)
    other = named(**{n: copy.deepcopy(module) for n, module in net.named_children()})
    for name, tensor in after.items():
        layer, kind = name.split(".")
        setattr(other.get_submodule(layer), kind, nn.Parameter(tensor, requires_grad=False))
    found = worst(net, other, shape, space=proven.space, radius=proven.radius, count=6)
    assert found <= proven.bound


def first_goes(net, *, shift=0.0):
    """The certificate where the first of two channels goes and a constant comes."""
    image = torch.ones(1, 1, 6, 6, dtype=net.a.weight.dtype)
    subject = prepare(net.eval(), (image,))
    (group,) = find_groups(subject.graph).groups
    (consumer,) = group.consumers
    before = subject.graph.parameters
    cut = Cut(
        group=group,
        indices=torch.tensor([1]),
        weights=(before[consumer.affine.weight][:, 1:].flatten(1),),
        shifts={consumer.constant: consumer.sign * torch.tensor([shift])},
    )
    space = query_space(subject, [group], queries=None, seed=0)
    return certificate_of(cut, before, shrink(before, cut), space=space, graph=subject.graph)


def ones(*middle, reader, **behind):
    """A network whose two channels are 1 everywhere."""
    between = {f"m{i}": module for i, module in enumerate(middle)}
    net = named(a=conv(1, 2, 1), **between, b=reader, **behind).eval()
    with torch.no_grad():
        net.a.weight.zero_()
        net.a.bias.fill_(1.0)
        for layer in (*middle, reader):
            if isinstance(layer, nn.Conv2d):
                layer.weight.fill_(1.0)
    return net


def test_a_tap_beyond_the_border_adds_nothing():
    """With a constant channel every pattern of taps is another sum: the corner is the worst."""
    net = ones(nn.Identity(), reader=conv(2, 1, 3, padding=1))
    with torch.no_grad():
        net.b.weight[0, 0] = torch.tensor([[-9.0, 1, -9], [1, 2, 1], [-9, 1, 31]])
    proven = first_goes(net)
    assert proven.bound == pytest.approx(2 + 1 + 1 + 31, rel=1e-4)  # inside: only 10


def test_a_mean_over_zeros_alone_leaves_the_constant():
    net = ones(nn.Sigmoid(), nn.ZeroPad2d(1), reader=conv(2, 1, 1))
    with torch.no_grad():
        net.a.bias.fill_(0.0)
    assert first_goes(net, shift=0.5).bound == pytest.approx(0.5, rel=1e-3)  # inside: 0


def test_a_kernel_of_its_own_meets_zeros_at_borders():
    net = ones(conv(2, 2, 3, padding=1, groups=2, bias=False), reader=conv(2, 1, 1))
    assert first_goes(net, shift=9.0).bound >= 9 - 4  # inside: 0


@pytest.mark.parametrize("padding", [0, 1])
def test_the_shift_of_a_normalisation_counts_for_taps_inside(padding):
    net = ones(nn.ReLU(), nn.BatchNorm2d(2, eps=0.0), reader=conv(2, 1, 3, padding=padding))
    with torch.no_grad():
        net.a.bias.zero_()
        net.m1.bias.fill_(2.0)
    bound = first_goes(net, shift=18.0).bound
    expected = 0 if padding == 0 else 18 - 2 * 4  # with a corner: four taps inside
    assert bound == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("shift", "expected"), [(1.0, 0.0), (3.0, 2.0)])
def test_a_constant_in_the_mean_behind_is_counted(shift, expected):
    net = ones(nn.ReLU(), reader=conv(2, 1, 1, bias=False), n=nn.BatchNorm2d(1))
    assert first_goes(net, shift=shift).bound == pytest.approx(expected, abs=1e-4)


def test_where_nothing_goes_rounding_is_left():
    net = ones(nn.ReLU(), reader=conv(2, 1, 3))
    with torch.no_grad():
        net.b.weight[:, 0] = 0.0
    assert 1e-7 < first_goes(net).bound < 1e-4
    assert 1e-3 < first_goes(net.half()).bound < 1


def test_gates_have_no_certificate_and_the_reason_is_told():
    case = CONVOLUTIONAL["a channel gate"]
    result = coreprune.prune(case.make().eval(), **case.example, keep=0.5, method="magnitude")
    assert result.groups[0].certificate is result.groups[0].certificate_space is None
    assert "a: no certificate: its neurons are multiplied by a gate" in result.notes


class Exchanged(nn.Module):
    """The axes of the positions change places between two convolutions."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(2, 8, (3, 1)), conv(8, 4, (1, 3))

    def forward(self, x):
        return self.b(self.a(x).relu().transpose(2, 3))


def test_exchanged_axes_are_not_taken_for_neighbours():
    torch.manual_seed(0)
    net = Exchanged().eval()
    result = coreprune.prune(net, draw(2, 2, 7, 7), keep={"a": 0.6}, method="magnitude")
    (record,) = result.groups
    assert "patches" in record.certificate_space
    found = worst(
        net,
        result.model,
        (2, 7, 7),
        space=record.certificate_space,
        radius=record.certificate_radius,
    )
    assert found <= record.certificate


@pytest.mark.parametrize("name", ["shared by two", "two readers"])
def test_every_reader_counts(name):
    case = CONVOLUTIONAL[name]
    net = case.make().eval()
    result = coreprune.prune(net, **case.example, keep=0.5, method="magnitude")
    assert [record.name for record in result.groups] == list(case.cut)
    assert all(record.certificate > 0 for record in result.groups)
    with torch.no_grad():
        net.b.weight.mul_(100)
    more = coreprune.prune(net, **case.example, keep=0.5, method="magnitude")
    assert more.groups[0].certificate > 2 * result.groups[0].certificate


@pytest.mark.parametrize("limit", ["MOST", "LARGEST"])
def test_taps_that_are_too_many_are_bounded_one_by_one(limit, monkeypatch):
    _, _, together, _ = built("3 by 3 twice", method="magnitude")
    monkeypatch.setattr(bounds, limit, 0)
    net, result, apart, shape = built("3 by 3 twice", method="magnitude")
    assert "patches" in apart.certificate_space
    assert "windows" in together.certificate_space
    assert apart.certificate_radius == apart.query_radius
    found = worst(
        net, result.model, shape, space=apart.certificate_space, radius=apart.certificate_radius
    )
    assert found <= apart.certificate


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["3 by 3 twice", "normalised", "means and taps"])
def test_short_precision_is_counted(name, dtype):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    net = make().eval()
    coarse = copy.deepcopy(net).to(dtype)
    keep = {"keep": {"a": 0.6}, "method": "magnitude"}
    result = coreprune.prune(coarse, draw(2, *shape).to(dtype), **keep)
    (record,) = result.groups
    x = 0.98 * within(
        draw(40, *shape), net.a, record.certificate_space, radius=record.certificate_radius
    )
    with torch.no_grad():
        change = [outputs(one, x.to(dtype)).double() for one in (coarse, result.model)]
    assert float((change[0] - change[1]).abs().max()) <= record.certificate
    fine = coreprune.prune(net, draw(2, *shape), **keep).groups[0]
    assert record.certificate > fine.certificate * record.certificate_radius / (
        1.05 * fine.certificate_radius
    )


def test_a_network_s_groups_hold_where_earlier_cuts_changed_what_they_read():
    torch.manual_seed(1)
    net = named(
        z=conv(2, 6, 3), q=nn.ReLU(), a=conv(6, 8, 3), r=nn.ReLU(), b=conv(8, 4, 3, padding=1)
    ).eval()
    result = coreprune.prune(net, draw(2, 2, 9, 9), keep=0.5, method="magnitude")
    assert all(record.certificate > 0 for record in result.groups)
    assert tensors_of(result.model)["b.weight"].shape == (4, 4, 3, 3)
