"""Convolutional networks for tests, each with what must be cut in it."""

from collections.abc import Callable
from typing import Any

import torch
from networks import Case, Forward, Stretched, draw, named
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)


def norm(width: int, *, dead: int | None = None) -> nn.BatchNorm2d:
    """A batch normalisation of channels with statistics of its own, one of no variance."""
    layer = nn.BatchNorm2d(width)
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    if dead is not None:
        layer.running_var[dead] = 0
    return layer


def _between(*middle: Callable[[], nn.Module], **options: Any) -> Case:
    """What lies between convolutions a (3 to 8 channels) and b (8 to 5)."""

    def make() -> nn.Module:
        modules = {f"m{i}": module() for i, module in enumerate(middle)}
        return named(a=nn.Conv2d(3, 8, 3, padding=1), **modules, b=nn.Conv2d(8, 5, 3, padding=1))

    return Case(make=make, **{"args": (draw(2, 3, 8, 8),), **options})


def _written(written: Callable[..., Tensor], **children: Callable[[], nn.Module]) -> Case:
    options = {name: children.pop(name) for name in ("cut", "reasons", "passengers", "args")
               if name in children}  # fmt: skip
    layers = {"a": lambda: nn.Conv2d(3, 8, 3, padding=1), "b": lambda: nn.Conv2d(8, 5, 1)}

    def make() -> nn.Module:
        return Forward(written, **{n: build() for n, build in (layers | children).items()})

    return Case(make=make, **{"args": (draw(2, 3, 8, 8),), **options})


def _gated(net: Any, x: Tensor) -> Tensor:
    h = net.n(net.a(x)).relu()
    gate = F.hardsigmoid(net.up(net.down(F.adaptive_avg_pool2d(h, 1)).relu()))
    return net.b(h * gate)


def _residual(net: Any, x: Tensor) -> Tensor:
    x = net.a(x).relu()
    return net.b(x + net.n(net.d(net.c(x).relu())))


CONVOLUTIONAL: dict[str, Case] = {
    "channels": _between(nn.ReLU),
    "normalised channels": _between(lambda: norm(8), nn.ReLU, passengers=("m0",)),
    "channels normalised behind": _between(nn.SiLU, lambda: norm(8), passengers=("m1",)),
    "channels with slopes": _between(lambda: nn.PReLU(8), passengers=("m0",)),
    "channels with factors": _between(
        lambda: Stretched(8, 1, 1),
        nn.ReLU,
        passengers=("m0.factor", "m0.term", "m0.start", "m0.rest"),
    ),
    "kernels of their own": _between(
        nn.ReLU6,
        lambda: nn.Conv2d(8, 8, 3, padding="same", groups=8, dilation=2),
        nn.Hardswish,
        passengers=("m1",),
    ),
    "pools": _between(
        nn.ReLU, lambda: nn.MaxPool2d(2, padding=1), lambda: nn.AvgPool2d(2, 1), nn.Dropout2d
    ),
    "channels resized": _between(
        nn.ReLU, lambda: nn.Upsample(scale_factor=2), lambda: nn.Upsample(size=5, mode="bilinear")
    ),
    "channels padded": _between(
        nn.GELU, lambda: nn.ReflectionPad2d(1), lambda: nn.ZeroPad2d((0, 1, 2, 0))
    ),
    "a pad of ones": _between(
        lambda: nn.ConstantPad2d(1, 1.0), cut=(), reasons={"a": "the operator pad"}
    ),
    "places of the largest": _written(
        lambda net, x: net.b(F.max_pool2d(net.a(x), 2, return_indices=True)[0])
    ),
    "places that are read": _written(
        lambda net, x: net.b(sum(F.adaptive_max_pool2d(net.a(x), 2, return_indices=True))),
        cut=(),
        reasons={"a": "adaptive_max_pool2d"},
    ),
    "padding modes": _written(
        lambda net, x: net.b(net.c(net.a(x).relu()).relu()),
        c=lambda: nn.Conv2d(8, 6, 3, stride=2, padding=2, dilation=2, padding_mode="circular"),
        b=lambda: nn.Conv2d(6, 5, (3, 1), padding=(1, 0), padding_mode="replicate"),
        cut=("a", "c"),
    ),
    "sound": _written(
        lambda net, x: net.b(F.max_pool1d(net.a(x).relu(), 2)),
        a=lambda: nn.Conv1d(3, 8, 3),
        b=lambda: nn.Conv1d(8, 5, 3, padding="same"),
        args=(draw(2, 3, 16),),
    ),
    "volumes": _written(
        lambda net, x: net.b(F.avg_pool3d(net.a(x).relu(), 2)),
        a=lambda: nn.Conv3d(3, 8, 2),
        b=lambda: nn.Conv3d(8, 5, 2, padding=(1, 0, 1)),
        args=(draw(2, 3, 5, 5, 5),),
    ),
    "channels flattened": _written(
        lambda net, x: net.b(F.max_pool2d(net.a(x).relu(), 4).flatten(1)),
        b=lambda: nn.Linear(32, 5),
    ),
    "means over places": _written(
        lambda net, x: net.b(net.a(x).relu().mean((2, 3))) + net.b(net.a(x).amax((-2, -1))),
        b=lambda: nn.Linear(8, 5),
        cut=(),
        reasons={"a": "is called more than once"},
    ),
    "one mean": _written(
        lambda net, x: net.b(net.a(x).relu().mean((2, 3))), b=lambda: nn.Linear(8, 5)
    ),
    "one place": _written(
        lambda net, x: net.b(F.silu(net.a(x))[:, :, 0, -1]), b=lambda: nn.Linear(8, 5)
    ),
    "two readers": _written(
        lambda net, x: net.b(net.a(x).relu()) + net.c(net.d(x).tanh()),
        d=lambda: nn.Conv2d(3, 6, 1),
        c=lambda: nn.Conv2d(6, 5, 3, padding=1),
        cut=("a", "d"),
    ),
    "shared by two": _written(
        lambda net, x: (lambda h: net.b(h) + net.c(F.avg_pool2d(h, 3, 1, 1)))(net.a(x).relu()),
        c=lambda: nn.Conv2d(8, 5, 3, padding=1),
    ),
    "a constant for a norm": _written(
        lambda net, x: net.n(net.b(net.a(x).sigmoid())),
        b=lambda: nn.Conv2d(8, 5, 1, bias=False),
        n=lambda: norm(5),
        reasons={"n": "left whole"},
    ),
    "a channel gate": _written(
        _gated,
        n=lambda: norm(8),
        down=lambda: nn.Conv2d(8, 4, 1),
        up=lambda: nn.Conv2d(4, 8, 1),
        cut=("a", "down"),
        passengers=("up", "n"),
    ),
    "a gate by itself": _written(
        lambda net, x: (lambda h: net.b(h * torch.sigmoid(h)))(net.a(x))
    ),
    "a gated unit": _written(
        lambda net, x: net.b(F.silu(net.a(x)) * net.c(x)),
        a=lambda: nn.Linear(6, 8, bias=False),
        c=lambda: nn.Linear(6, 8),
        b=lambda: nn.Linear(8, 5),
        passengers=("c",),
        args=(draw(4, 6),),
    ),
    "a residual block": _written(
        _residual,
        c=lambda: nn.Conv2d(8, 6, 3, padding=1),
        d=lambda: nn.Conv2d(6, 8, 3, padding=1, bias=False),
        n=lambda: norm(8),
        cut=("c",),
        reasons={"a": "a residual sum", "d": "a residual sum", "n": "left whole"},
    ),
    "convolutions in parts": _written(
        lambda net, x: net.b(net.c(net.a(x).relu()).relu()),
        c=lambda: nn.Conv2d(8, 8, 3, groups=2),
        cut=(),
        reasons={"a": "c reads it in 2 parts", "c": "it works in 2 parts"},
    ),
    "transposed convolutions": _written(
        lambda net, x: net.c(net.t(net.a(x).relu()).relu()),
        t=lambda: nn.ConvTranspose2d(8, 6, 2),
        c=lambda: nn.Conv2d(6, 4, 1),
        cut=(),
        reasons={"a": "a transposed convolution", "t": "a transposed convolution"},
    ),
    "instance normalisation": _between(
        lambda: nn.InstanceNorm2d(8), cut=(), reasons={"a": "an instance normalisation"}
    ),
    "no statistics": _between(
        lambda: nn.BatchNorm2d(8, track_running_stats=False),
        cut=(),
        reasons={"a": "without running statistics"},
    ),
    "a norm of zeros": _between(
        lambda: norm(8, dead=3), nn.ReLU, passengers=("m0",)
    ),
}  # fmt: skip
