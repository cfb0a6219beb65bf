"""What reaches batch normalisations."""

import pytest
import torch
from networks import Forward, draw, named, trained_norm
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune.shells.calls import Call
from coreprune.shells.torch_module import subject
from coreprune.shells.torch_module.modules import copied
from coreprune.shells.torch_module.statistics import watch_statistics
from coreprune.shells.torch_module.subject import prepare

MEAN, VARIANCE = draw(3), draw(3).square()


def seen(net, *args):
    found = []
    with watch_statistics(lambda x, mean, variance: found.append((x, mean, variance))):
        output = net.eval()(*args)
    return found, output


def norm(width, kind):
    made = kind(width)
    made.running_mean.copy_(MEAN)
    made.running_var.copy_(VARIANCE)
    return made


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: norm(3, nn.BatchNorm1d), (4, 3)),
        (lambda: norm(3, nn.BatchNorm1d), (4, 3, 5)),
        (lambda: norm(3, nn.BatchNorm2d), (4, 3, 5, 5)),
        (lambda: norm(3, nn.BatchNorm3d), (4, 3, 2, 2, 2)),
        (lambda: norm(3, nn.SyncBatchNorm), (4, 3, 5)),
        (lambda: Forward(lambda _, x: F.batch_norm(x, MEAN, VARIANCE)), (4, 3)),
        (lambda: Forward(lambda _, x: F.batch_norm(x, running_var=VARIANCE, running_mean=MEAN)),
         (4, 3)),
        (lambda: Forward(lambda _, x: torch.batch_norm(
            x, None, None, MEAN, VARIANCE, False, 0.1, 1e-5, False)), (4, 3)),
    ],
    ids=["rows", "sequences", "images", "volumes", "synchronised", "function", "keywords",
         "operator"],
)  # fmt: skip
def test_modules_and_functions_are_seen_once_with_what_they_remember(make, shape):
    net, x = make(), draw(*shape)
    found, output = seen(net, x)
    ((values, mean, variance),) = found
    assert torch.equal(values, x)
    assert torch.equal(mean, MEAN)
    assert torch.equal(variance, VARIANCE)
    assert torch.equal(output, net(x))


@pytest.mark.parametrize(
    "net",
    [
        nn.BatchNorm1d(3, track_running_stats=False),
        Forward(lambda _, x: F.batch_norm(x, None, None, training=True)),
        Forward(lambda _, x: F.batch_norm(x, MEAN.clone(), VARIANCE.clone(), training=True)),
        nn.LayerNorm(3),
        nn.InstanceNorm1d(4, track_running_stats=True),
    ],
    ids=["no statistics", "batch", "training", "layer", "instance"],
)
def test_others_are_passed_by(net):
    found, _ = seen(net, draw(4, 3))
    assert not found


def test_inputs_keep_their_derivatives_and_come_in_order():
    net = named(a=nn.Linear(6, 4), n=trained_norm(4), r=nn.ReLU(), b=nn.Linear(4, 2))
    net.add_module("m", trained_norm(2))
    found, _ = seen(net, draw(5, 6).requires_grad_())
    assert [mean.data_ptr() for _, mean, _ in found] == [
        net.n.running_mean.data_ptr(), net.m.running_mean.data_ptr()
    ]  # fmt: skip
    assert all(values.requires_grad for values, _, _ in found)


def test_nothing_is_seen_once_it_is_closed():
    net, found = nn.BatchNorm1d(3).eval(), []
    with watch_statistics(lambda *args: found.append(args)):
        pass
    net(draw(4, 3))
    assert not found


def test_a_network_in_half_precision_is_asked_in_float32_where_its_code_lets():
    """On the CPU half precision is slow; the values are nearer to the exact ones besides."""
    net = named(a=nn.Linear(3, 3), n=norm(3, nn.BatchNorm1d)).half().eval()
    fixed = Forward(lambda own, x: own.net(x.half()), net=net)
    x = draw(4, 3).half().requires_grad_()
    for model, dtype in ((net, torch.float32), (fixed, torch.float16)):
        own = prepare(model, x.detach())
        ((values, mean, _),) = own.remembered(Call(args=(x,)))
        assert (values.dtype, mean.dtype) == (dtype, dtype)
        torch.testing.assert_close(values, net.a(x).to(dtype), rtol=1e-2, atol=1e-2)
        assert torch.autograd.grad(values.sum(), x)[0].abs().sum() > 0
    assert own.working.net.a.weight.dtype == torch.float16


@pytest.mark.parametrize("fixed", [False, True])
def test_a_copy_in_float32_is_made_once(fixed, monkeypatch):
    net = named(a=nn.Linear(3, 3), n=norm(3, nn.BatchNorm1d)).half().eval()
    net = Forward(lambda own, x: own.net(x.half() if fixed else x), net=net)
    call, copies = Call(args=(draw(4, 3).half(),)), []
    prepared = prepare(net, call.args)
    monkeypatch.setattr(subject, "copied", lambda model: copies.append(copied(model)) or copies[-1])
    dtypes = [prepared.remembered(call)[0][0].dtype for _ in range(3)]
    assert dtypes == 3 * [torch.float16 if fixed else torch.float32]
    assert len(copies) == 1
    other = prepared.with_tensors({"net.n.running_mean": torch.ones(3).half()})
    assert other.remembered(call)[0][1].tolist() == 3 * [1.0]
