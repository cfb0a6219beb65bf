"""Networks for tests, each with what must be cut in it and what a person must read about it."""

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)
from torch.nn.utils import parametrizations


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, an input, and what must come of it.

    Attributes:
        make: Builds the network.
        args: Positional arguments of the forward pass.
        kwargs: Keyword arguments.
        cut: The layers that must be cut, in order of execution; none: pruning must be refused.
        reasons: A part of the reason that other layers are listed with.
        passengers: The layers that ride with the first group.
        chain: Whether it is one hidden layer "a" before one layer "b", from vectors to vectors.
    """

    make: Callable[[], nn.Module]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    cut: tuple[str, ...] = ("a",)
    reasons: Mapping[str, str] = field(default_factory=dict)
    passengers: tuple[str, ...] = ()
    chain: bool = False

    @property
    def example(self) -> dict[str, Any]:
        """The arguments of `prune` and `inspect`."""
        return {"example_inputs": self.args, "example_kwargs": self.kwargs}


class Forward(nn.Module):
    """Submodules under their names and a forward pass written as a function of them."""

    def __init__(self, written: Callable[..., Any], **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)
        self.written = written

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.written(self, *args, **kwargs)


def draw(*shape: int) -> Tensor:
    """The same normal numbers each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def named(**children: nn.Module) -> nn.Sequential:
    """A sequence of modules with names."""
    net = nn.Sequential()
    for name, child in children.items():
        net.add_module(name, child)
    return net


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, bias: bool = True) -> nn.Sequential:
    """Linear layers of these widths with activations between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after, bias=bias), act()]
    return nn.Sequential(*layers[:-1])


def trained_norm(width: int, **options: Any) -> nn.BatchNorm1d:
    """A batch normalisation whose statistics and scales are not the initial ones."""
    norm = nn.BatchNorm1d(width, **options)
    for tensor in (*norm.parameters(), *norm.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    return norm


def slopes(width: int) -> nn.PReLU:
    """A PReLU with a slope a neuron, of both signs."""
    act = nn.PReLU(width)
    act.weight.data.normal_()
    return act


class Stretched(nn.Module):
    """Factors, terms and what they are taken from, of a shape: parameters and a buffer."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.empty(shape).uniform_(0.5, 1.5))
        self.term = nn.Parameter(torch.randn(shape))
        self.register_buffer("start", torch.randn(shape))
        self.register_buffer("rest", torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.start - (self.factor * x + self.term) - self.rest


def _riding(*middle: Callable[[], nn.Module], **options: Any) -> Case:
    def make() -> nn.Module:
        modules = {f"m{i}": module() for i, module in enumerate(middle)}
        return named(a=nn.Linear(6, 12), **modules, b=nn.Linear(12, 3))

    return Case(make=make, **{"args": (draw(4, 6),), "chain": True, **options})


def _written(middle: Callable[[Tensor], Tensor], **options: Any) -> Case:
    def make() -> nn.Module:
        return Forward(
            lambda net, x: net.b(middle(net.a(x))), a=nn.Linear(6, 12), b=nn.Linear(12, 3)
        )

    return Case(make=make, **{"args": (draw(4, 6),), "chain": True, **options})


def _layers(
    written: Callable[..., Any], *args: Any, make: Mapping[str, Any] | None = None, **options: Any
) -> Case:
    """Layers a (6 to 12), b and c (12 to 3), or others, and a forward pass."""

    def build() -> nn.Module:
        children = {"a": nn.Linear(6, 12), "b": nn.Linear(12, 3), "c": nn.Linear(12, 3)}
        children |= {name: child() for name, child in (make or {}).items()}
        return Forward(written, **children)

    return Case(make=build, args=args or (draw(4, 6),), **options)


class Raw(nn.Module):
    """Weights without layers, two hidden ones in a module, one of them a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(12, 6))
        self.shift = nn.Parameter(torch.randn(12))
        self.second = nn.Parameter(torch.randn(20, 12))
        self.register_buffer("third", torch.randn(3, 20))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(F.linear(x, self.first, bias=self.shift))
        return F.linear(F.tanh(F.linear(h, weight=self.second)), self.third)


class Packed(nn.Linear):
    """A linear layer that stores its weight in another shape."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.weight = nn.Parameter(self.weight.detach().reshape(9, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.view(3, 3), self.bias)


class Counting(nn.Module):
    """Counts its calls in a buffer, and keeps a mask with infinite entries."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(6, 12, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mask", torch.tensor([0.0, 0.0, -torch.inf]))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x) + self.mask


def _tied() -> nn.Module:
    net = named(a=nn.Linear(6, 12), r=nn.ReLU(), b=nn.Linear(12, 12), s=nn.ReLU())
    net.add_module("c", nn.Linear(12, 12))
    net.add_module("t", nn.ReLU())
    net.add_module("d", nn.Linear(12, 3))
    net.c.weight = net.b.weight
    return net


def _sharing_an_activation() -> nn.Module:
    act = nn.PReLU()
    return named(a=nn.Linear(6, 12), r=act, b=nn.Linear(12, 10), s=act, c=nn.Linear(10, 3))


def _frozen() -> nn.Module:
    net = named(a=nn.Linear(6, 12), r=nn.ReLU(), b=nn.Linear(12, 3))
    net.a.requires_grad_(False)
    return net


class Branching(nn.Module):
    """Cannot be exported whole."""

    def __init__(self) -> None:
        super().__init__()
        self.a = mlp(6, 12, 5)
        self.b = mlp(5, 9, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.b(-y) if y.sum().item() > 0 else self.b(y)


def _heads(net: Any, x: Tensor) -> Any:
    h = net.a(x)
    return {"b": net.b(h.relu()), "rest": (net.c(h.tanh()), 7)}


def _in_place(net: Any, x: Tensor) -> Any:
    h = net.a(x)
    F.relu_(h)
    return net.b(h), net.c(h)


def _training_only(net: Any, x: Tensor) -> Any:
    h = F.relu(net.a(x))
    return (net.b(h), net.c(h)) if net.training else net.b(h)


def _leaving_in_training(net: Any, x: Tensor) -> Any:
    h = F.relu(net.a(x))
    return (net.b(h), h) if net.training else net.b(h)


_MODULES: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU,
    "ReLU in place": functools.partial(nn.ReLU, inplace=True),
    "LeakyReLU": nn.LeakyReLU,
    "LeakyReLU(-0.3)": lambda: nn.LeakyReLU(-0.3),
    "ReLU6": nn.ReLU6,
    "Softplus": nn.Softplus,
    "Softplus(2, 3)": lambda: nn.Softplus(2.0, 3.0),
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "GELU": nn.GELU,
    "GELU(tanh)": lambda: nn.GELU("tanh"),
    "SiLU": nn.SiLU,
    "ELU": nn.ELU,
    "ELU(0.3)": lambda: nn.ELU(0.3),
    "CELU": nn.CELU,
    "CELU(2.0)": lambda: nn.CELU(2.0),
    "SELU": nn.SELU,
    "Hardswish": nn.Hardswish,
    "Hardsigmoid": nn.Hardsigmoid,
    "Hardtanh": nn.Hardtanh,
    "Hardtanh(-2, 0.5)": lambda: nn.Hardtanh(-2.0, 0.5),
}

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tensor.relu_": lambda h: h.relu_(),
    "leaky_relu": lambda h: F.leaky_relu(h, 0.2),
    "relu6": F.relu6,
    "softplus": F.softplus,
    "torch.sigmoid": torch.sigmoid,
    "torch.tanh": torch.tanh,
    "gelu": F.gelu,
    "gelu tanh": lambda h: F.gelu(h, approximate="tanh"),
    "silu": F.silu,
    "elu": lambda h: F.elu(h, 0.7),
    "celu": lambda h: F.celu(h, 0.7),
    "selu": F.selu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "step": lambda h: (h > 0).float(),
    "step at": lambda h: (h >= 0.25).to(h.dtype),
    "step above": lambda h: (h > 0.25).to(h.dtype),
    "clamp": lambda h: h.clamp(-0.5, 2.0),
    "clamp from 0": lambda h: h.clamp(min=0),
    "clamp to 6": lambda h: torch.clamp(h, 0.0, 6.0),
    "scale and shift": lambda h: 3 - 2 * torch.add(h / 4 + 1, 2, alpha=3).relu() - 0.5,
    "negation": lambda h: -h.tanh(),
    "casts": lambda h: h.double().sigmoid().float(),
    "detach and clone": lambda h: h.detach().clone().contiguous().relu(),
    "view": lambda h: h.view(h.shape[0], -1).relu(),
    "flatten": lambda h: h.unsqueeze(2).relu().flatten(1),
    "whole slice": lambda h: h.relu()[:, 0:12],
    "squeeze": lambda h: h[:, None].relu().squeeze(1),
    "transpositions": lambda h: h.t().relu().transpose(0, 1),
    "T": lambda h: h.T.relu().T,
    "permute": lambda h: h.unsqueeze(0).permute(2, 0, 1).relu().permute(1, 2, 0).squeeze(0),
}

_NOT_PASSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "softmax": (lambda h: h.softmax(-1), "a softmax"),
    "rounding": (lambda h: torch.div(h, 2, rounding_mode="floor"), "the operator div"),
    "a sine": (torch.sin, "the operator sin"),
    "integers": (lambda h: h.int().float(), "to_copy"),
    "a slice": (lambda h: torch.cat([h[:, 5:], h[:, :5]], 1), "slice"),
    "a layer norm": (lambda h: F.layer_norm(h, (12,)), "a layer normalisation"),
    "an RMS norm": (lambda h: F.rms_norm(h, (12,)), "an RMS normalisation"),
    "an RMS norm by hand": (
        lambda h: h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6),
        "a root mean square of several entries (an RMS normalisation)",
    ),
    "another by hand": (lambda h: h / (h * h).mean(-1, keepdim=True).sqrt(), "root mean square"),
    "a norm by hand": (
        lambda h: h / h.pow(2).sum(-1, keepdim=True).sqrt(),
        "a norm over its entries",
    ),
    "its square": (lambda h: h * h, "mul"),
    "a gate": (lambda h: h * h.softmax(1), "a softmax"),
    "a residual": (lambda h: h + h.mean(1, keepdim=True), "acts on the axis of its neurons"),
    "concatenation": (
        lambda h: torch.cat([h.relu(), h.tanh()], 1)[:, :12],
        "concatenated with itself",
    ),
    "heads": (lambda h: h.view(-1, 3, 4).relu().flatten(1), "mixed with other axes"),
    "dropout that stays": (lambda h: F.dropout(h, 0.5, training=True), "dropout"),
}

CASES: dict[str, Case] = {
    **{name: _riding(module) for name, module in _MODULES.items()},
    **{name: _written(function) for name, function in _FUNCTIONS.items()},
    **{
        name: _written(function, cut=(), reasons={"a": reason}, chain=False)
        for name, (function, reason) in _NOT_PASSED.items()
    },
    "linear": _riding(),
    "PReLU": _riding(nn.PReLU, passengers=("m0",)),
    "PReLU a neuron": _riding(lambda: slopes(12), passengers=("m0",)),
    "factors a neuron": _riding(
        lambda: Stretched(12), nn.ReLU, passengers=("m0.factor", "m0.term", "m0.start", "m0.rest")
    ),
    "factors for all": _riding(
        nn.GELU, lambda: Stretched(1), passengers=("m1.factor", "m1.term", "m1.start", "m1.rest")
    ),
    "factors on another axis": _riding(
        lambda: Stretched(12),
        args=(draw(4, 12, 6),),
        chain=False,
        cut=(),
        reasons={"a": "the operator mul"},
    ),
    "dropout and identity": _riding(nn.Dropout, nn.Identity, nn.Tanh),
    "norm before": _riding(lambda: trained_norm(12), nn.GELU, passengers=("m0",)),
    "norm after": _riding(nn.ReLU, lambda: trained_norm(12), passengers=("m1",)),
    "two norms": _riding(
        lambda: trained_norm(12), lambda: trained_norm(12), nn.ReLU, passengers=("m0", "m1")
    ),
    "norm without affine": _riding(
        lambda: trained_norm(12, affine=False, eps=0.1), nn.ReLU, passengers=("m0",)
    ),
    "norm without statistics": _riding(
        lambda: nn.BatchNorm1d(12, track_running_stats=False),
        chain=False,
        cut=(),
        reasons={"a": "without running statistics", "m0": "without running statistics"},
    ),
    "norm over the time axis": _written(
        lambda h: h.transpose(1, 2).relu().transpose(1, 2), args=(draw(4, 5, 6),), chain=False
    ),
    "sequences": _layers(
        lambda net, x: net.b(net.n(net.a(x).transpose(1, 2)).transpose(1, 2)),
        draw(4, 5, 6),
        make={"n": lambda: trained_norm(12)},
        passengers=("n",),
        reasons={"c": "does not reach"},
    ),
    "slopes on another axis": _layers(
        lambda net, x: net.b(net.n(net.a(x))),
        draw(4, 12, 6),
        make={"n": lambda: slopes(12)},
        cut=(),
        reasons={"a": "n acts on another axis", "n": "belong to a layer that is left whole"},
    ),
    "another axis": _layers(
        lambda net, x: net.b(net.a(x).transpose(1, 2)),
        draw(4, 12, 6),
        cut=(),
        reasons={"a": "b reads another axis"},
    ),
    "heads with their own activations": _layers(_heads),
    "in place under another name": _layers(_in_place),
    "output as well": _layers(
        lambda net, x: (lambda h: {"logits": (net.b(h), net.c(h)), "hidden": h})(net.a(x).relu()),
        cut=(),
        reasons={"a": "its output leaves the network"},
    ),
    "called twice": _layers(
        lambda net, x: net.b(net.a(net.a(x).relu()).relu()),
        draw(4, 12),
        make={"a": lambda: nn.Linear(12, 12)},
        cut=(),
        reasons={"a": "a is called more than once"},
    ),
    "read twice by a layer": _layers(
        lambda net, x: (lambda h: net.b(h.relu()) + net.b(h.tanh()))(net.a(x)),
        cut=(),
        reasons={"a": "b is called more than once"},
    ),
    "weight in a penalty": _layers(
        lambda net, x: (net.b(net.a(x).relu()), net.a.weight.square().sum()),
        cut=(),
        reasons={"a": "a.weight is also read by the operator"},
    ),
    "unused layer": _layers(
        lambda net, x: net.b(net.a(x).relu()), reasons={"c": "does not reach"}
    ),
    "read in training only": _layers(_training_only, cut=(), reasons={"a": "in training"}),
    "leaving in training only": _layers(
        _leaving_in_training, cut=(), reasons={"a": "leaves the network in training"}
    ),
    "tied weights": Case(
        make=_tied,
        args=(draw(4, 6),),
        cut=(),
        reasons={"a": "b.weight is shared by b and c", "b": "shared by", "c": "shared by"},
    ),
    "shared slope": Case(
        make=_sharing_an_activation, args=(draw(4, 6),), cut=("a", "b"), passengers=("r",)
    ),
    "residual sum": _layers(
        lambda net, x: net.c(x + net.d(net.b(net.a(x).relu()).tanh())),
        draw(4, 12),
        make={
            "a": lambda: nn.Linear(12, 12),
            "b": lambda: nn.Linear(12, 8),
            "d": lambda: nn.Linear(8, 12),
        },
        cut=("a", "b"),
        reasons={"d": "a residual sum", "c": "leaves the network"},
    ),
    "nested modules": Case(
        make=lambda: named(body=named(inner=mlp(6, 12, 10), act=nn.ReLU()), head=mlp(10, 7, 2)),
        args=(draw(4, 6),),
        cut=("body.inner.0", "body.inner.2", "head.0"),
    ),
    "raw weights": Case(make=Raw, args=(draw(4, 6),), cut=("first", "second")),
    "raw weights inside": Case(
        make=lambda: named(net=Raw()), args=(draw(4, 6),), cut=("net.first", "net.second")
    ),
    "packed weight": Case(
        make=lambda: named(net=mlp(6, 12, 3), p=Packed()), args=(draw(4, 6),), cut=("net.0",)
    ),
    "counting": Case(make=Counting, args=(draw(4, 6),), cut=("net.0",)),
    "frozen": Case(make=_frozen, args=(draw(4, 6),), chain=True),
    "weight norm": Case(
        make=lambda: named(
            a=nn.Linear(6, 12),
            b=parametrizations.weight_norm(nn.Linear(12, 9)),
            r=nn.ReLU(),
            c=nn.Linear(9, 8),
            s=nn.ReLU(),
            d=nn.Linear(8, 2),
        ),
        args=(draw(4, 6),),
        cut=("c",),
        reasons={"a": "fold parametrisations", "b": "computed from other tensors"},
    ),
    "branching": Case(
        make=Branching,
        args=(draw(4, 6),),
        cut=("a.0", "b.0"),
        reasons={"a.2": "read by code that could not be exported"},
    ),
    "hard-coded width": _layers(
        lambda net, x: net.c(net.b(net.a(x).view(-1, 12).relu()).tanh()),
        make={"b": lambda: nn.Linear(12, 10), "c": lambda: nn.Linear(10, 3)},
        cut=("b",),
        reasons={"a": "its width is fixed somewhere in the model's code"},
    ),
    "hard-coded width of a norm": _layers(
        lambda net, x: net.c(net.b(net.n(net.a(x)).view(-1, 12)).relu()),
        make={
            "n": lambda: trained_norm(12),
            "b": lambda: nn.Linear(12, 10),
            "c": lambda: nn.Linear(10, 3),
        },
        cut=("b",),
        reasons={"a": "its width is fixed", "n": "belong to a layer that is left whole"},
    ),
    "encoder layer": Case(
        make=lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        args=(draw(2, 5, 8),),
        cut=("linear1",),
        reasons={
            "linear2": "a residual sum",
            "norm1": "a layer normalisation is not cut",
            "self_attn.out_proj": "a residual sum",
        },
    ),
    "LSTM": _layers(
        lambda net, x: net.b(net.a(net.l(x)[0]).relu()),
        draw(4, 5, 6),
        make={"l": lambda: nn.LSTM(6, 6, batch_first=True)},
        reasons={"l": "an LSTM is not cut"},
    ),
    "channels and neurons": Case(
        make=lambda: named(
            conv=nn.Conv2d(1, 4, 3), n=nn.BatchNorm2d(4), r=nn.ReLU(), f=nn.Flatten(),
            head=mlp(64, 12, 3),
        ),
        args=(draw(4, 1, 6, 6),),
        cut=("conv", "head.0"),
        passengers=("n",),
    ),
    "a plain number": _layers(lambda net, x: (net.b(net.a(x).relu()).sum().item(), "name", None)),
    "a gate by itself": _written(lambda h: h * h.sigmoid(), chain=False),
    "a residual by itself": _written(lambda h: h + h.relu(), chain=False),
    "double output": _layers(lambda net, x: net.b(net.a(x).relu()).double()),
    "writing into its input": _layers(lambda net, x: net.b(net.a(x.mul_(2)).relu())),
    "rows chosen by data": _layers(lambda net, x: net.b(net.a(x[x.sum(1) > 0]).relu())),
    "no batch axis": _layers(lambda net, x: net.b(net.a(x).relu()), draw(6)),
    "keyword only": Case(
        make=_layers(lambda net, *, x, scale=1: net.b(net.a(x * scale).relu())).make,
        args=(),
        kwargs={"x": draw(4, 6), "scale": 2.0},
    ),
    "a dictionary": _layers(lambda net, d: net.b(net.a(d["x"]).relu()), {"x": draw(4, 6)}),
    "several inputs": _layers(
        lambda net, x, y: net.b(net.a(x).relu()) + net.d(y),
        draw(4, 6),
        draw(4, 2),
        make={"d": lambda: nn.Linear(2, 3)},
    ),
    "integers in": _layers(
        lambda net, i: net.b(net.a(net.e(i)).relu()),
        torch.arange(8).view(4, 2),
        make={"e": lambda: nn.Embedding(9, 6)},
        reasons={"e": "an embedding is not cut"},
    ),
}  # fmt: skip
