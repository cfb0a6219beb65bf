"""What ATen operators mean in the graph language: one literal table for the element-wise ones."""

import functools
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx

from coreprune.core import activations as family
from coreprune.core.elementwise import Activation, affine, compose, identity

Build = Callable[[], Activation]

IDENTITIES = frozenset({"alias", "clone", "contiguous", "detach", "lift_fresh_copy"})
CASTS = frozenset({"_to_copy", "to"})
RESHAPES = frozenset({
    "_unsafe_view", "flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view",
})  # fmt: skip
_PARTS = "a split into parts (chunk, split, glu)"
_NORM = "a norm over its entries"
_RMS = "a root mean square of several entries (an RMS normalisation)"
_PRODUCT = "a product of matrices (only x @ w.t() with a parameter w is read as a layer)"
READABLE = {
    "_native_batch_norm_legit": "a batch normalisation without running statistics",
    "batch_norm": "a batch normalisation without running statistics",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_softmax": "a softmax",
    "cat": "a concatenation",
    "convolution": "a convolution",
    "conv1d": "a convolution",
    "conv2d": "a convolution",
    "conv3d": "a convolution",
    "conv_transpose1d": "a transposed convolution",
    "conv_transpose2d": "a transposed convolution",
    "conv_transpose3d": "a transposed convolution",
    "embedding": "an embedding",
    "group_norm": "a group normalisation",
    "instance_norm": "an instance normalisation",
    "layer_norm": "a layer normalisation",
    "linear": (
        "a linear layer whose weight is computed from other tensors (fold parametrisations "
        "first: torch.nn.utils.parametrize.remove_parametrizations)"
    ),
    "addmm": _PRODUCT,
    "baddbmm": _PRODUCT,
    "bmm": _PRODUCT,
    "einsum": "an einsum",
    "glu": _PARTS,
    "linalg_vector_norm": _NORM,
    "matmul": _PRODUCT,
    "mm": _PRODUCT,
    "split": _PARTS,
    "split_with_sizes": _PARTS,
    "unbind": _PARTS,
    "_weight_norm": "a weight normalisation",
    "lstm": "an LSTM",
    "native_layer_norm": "a layer normalisation",
    "scaled_dot_product_attention": "attention",
    "softmax": "a softmax",
    **dict.fromkeys(("rms_norm", "_fused_rms_norm"), _RMS),
}
_MEANS = frozenset({"add", "clamp", "clamp_min", "mean", "mul", "rsqrt", "sqrt", "sum"})
"""What lies between the squares of a norm and its root, which is among them."""


def name_of(node: fx.Node) -> str:
    """The operator without its overload: aten.relu.default is "relu"."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    return packet.__name__ if packet is not None else getattr(target, "__name__", str(target))


def readable(node: fx.Node) -> str:
    """What a person calls the operator."""
    squares = name_of(node) in {"mul", "pow"} and len(node.all_input_nodes) == 1
    root = _root_behind(node) if squares else None
    return root or READABLE.get(name_of(node), f"the operator {name_of(node)}")


def _root_behind(square: fx.Node) -> str | None:
    """What the root of the mean or sum of what a node gives is called, where it is taken."""
    passed, node = set[str](), square
    while len(node.users) == 1 and name_of(following := next(iter(node.users))) in _MEANS:
        node = following
        passed.add(name_of(node))
        if passed & {"rsqrt", "sqrt"}:
            return _RMS if "mean" in passed else _NORM if "sum" in passed else None
    return None


def activation_of(node: fx.Node) -> Build | None:
    """The element-wise function of one value that a node is, or None when it is not one."""
    make = _TABLE.get(name_of(node))
    options = (*node.args[1:], *node.kwargs.values())
    if make is None or any(isinstance(option, fx.Node) for option in options):
        return None
    return make(*node.args[1:], **_telling(node.kwargs))


def is_whole_slice(node: fx.Node) -> bool:
    """Whether a node takes all entries of a known number: some versions of torch export such."""
    if name_of(node) != "slice":
        return False
    source, *given = node.args
    bounds: list[Any] = [*given, *[0, None, None, 1][len(given) :]]
    axis, start, end, step = bounds
    if start not in {0, None} or step != 1 or not isinstance(source, fx.Node):
        return False
    size = source.meta["val"].shape[axis]
    if end is None or end == sys.maxsize:
        return True
    return isinstance(size, int) and isinstance(end, int) and bool(end >= size)


def _telling(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if value is not None}


def _elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Build | None:
    if alpha <= 0 or input_scale != 1:
        return None
    return lambda: (
        compose(family.elu(alpha), _affine(scale, 0.0)) if scale != 1 else family.elu(alpha)
    )


def _celu(alpha: float = 1.0) -> Build | None:
    return functools.partial(family.celu, alpha) if alpha > 0 else None


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Build | None:
    return functools.partial(family.softplus, beta, threshold) if beta > 0 else None


def _clamp(min: float | None = None, max: float | None = None) -> Build | None:
    if min == 0 and max is None:
        return family.relu
    if min is None or max is None or not min < max or math.isinf(max - min):
        return None
    return functools.partial(family.hardtanh, float(min), float(max))


def _affine(scale: float, shift: float) -> Activation:
    return affine(float(scale), float(shift))


def _line(scale: float, shift: float) -> Build:
    return functools.partial(_affine, scale, shift)


def _above(threshold: float) -> Build:
    return lambda: compose(_affine(1.0, -threshold), family.step())


_TABLE: dict[str, Callable[..., Build | None]] = {
    "add": lambda other, alpha=1: _line(1.0, alpha * other),
    "celu": _celu,
    "clamp": _clamp,
    "clamp_min": lambda low: _clamp(low),
    "dropout": lambda _, train: None if train else identity,
    "div": lambda other, rounding_mode="": (
        None if rounding_mode or not other else _line(1 / other, 0.0)
    ),
    "elu": _elu,
    "gelu": lambda approximate="none": functools.partial(family.gelu, approximate),
    "ge": lambda threshold: _above(threshold),
    "gt": lambda threshold: _above(threshold),
    "hardsigmoid": lambda: family.hardsigmoid,
    "hardswish": lambda: family.hardswish,
    "hardtanh": lambda low=-1.0, high=1.0: _clamp(low, high),
    "leaky_relu": lambda slope=0.01: functools.partial(family.leaky_relu, slope),
    "mish": lambda: family.mish,
    "mul": lambda other: _line(other, 0.0),
    "neg": lambda: _line(-1.0, 0.0),
    "relu": lambda: family.relu,
    "relu6": lambda: family.relu6,
    "rsub": lambda other, alpha=1: _line(-alpha, other),
    "selu": lambda: family.selu,
    "sigmoid": lambda: family.sigmoid,
    "silu": lambda: family.silu,
    "softplus": _softplus,
    "sub": lambda other, alpha=1: _line(1.0, -alpha * other),
    "tanh": lambda: family.tanh,
    **{name: lambda *_, **__: identity for name in IDENTITIES},
}
