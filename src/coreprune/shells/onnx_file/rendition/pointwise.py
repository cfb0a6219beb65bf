"""Functions of each entry, and of entries at the same place."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.shells.onnx_file.rendition.given import Given
from coreprune.shells.onnx_file.tensors import TYPES


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


PLAIN: Mapping[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Add": torch.add,
    "And": torch.logical_and,
    "Asin": torch.asin,
    "Atan": torch.atan,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Div": _divide,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSwish": functional.hardswish,
    "Identity": lambda x: x,
    "IsInf": torch.isinf,
    "IsNaN": torch.isnan,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "Mish": functional.mish,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "PRelu": lambda x, slope: torch.where(x > 0, x, slope * x),
    "Pow": lambda x, exponent: torch.pow(x, exponent).to(x.dtype),
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "Where": torch.where,
    "Xor": torch.logical_xor,
}
"""Operators whose inputs are torch's arguments, and that have no attributes."""

FOLDED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": torch.add,
}
"""Operators of any number of inputs: these of two, again and again."""


def _mean(given: Given) -> Tensor:
    return functools.reduce(torch.add, given.tensors) / len(given.tensors)


def _mod(given: Given) -> Tensor:
    rule = torch.fmod if given.attribute("fmod", 0) else torch.remainder
    return rule(given.x, given.tensor(1))


def _cast(given: Given) -> Tensor:
    return given.x.to(_type(given.attribute("to")))


def _type(code: int) -> torch.dtype:
    """Torch's type.

    Raises:
        NotImplementedError: When torch has none.
    """
    if code not in TYPES:
        raise NotImplementedError("Cast to a type that torch does not have")
    return TYPES[code]


def _clip(given: Given) -> Tensor:
    low, high = given.number(1), given.number(2)
    return given.x if low is None and high is None else torch.clamp(given.x, low, high)


def _gelu(given: Given) -> Tensor:
    return functional.gelu(given.x, approximate=given.attribute("approximate", "none"))


def _hard_sigmoid(given: Given) -> Tensor:
    line: Tensor = given.attribute("alpha", 0.2) * given.x + given.attribute("beta", 0.5)
    return line.clamp(0.0, 1.0)


def _selu(given: Given) -> Tensor:
    alpha = given.attribute("alpha", 1.6732632423543772)
    scaled: Tensor = given.attribute("gamma", 1.0507009873554805) * functional.elu(given.x, alpha)
    return scaled


def _swish(given: Given) -> Tensor:
    return given.x * torch.sigmoid(given.attribute("alpha", 1.0) * given.x)


def _thresholded(given: Given) -> Tensor:
    return torch.where(given.x > given.attribute("alpha", 1.0), given.x, 0.0)


def _dropout(given: Given) -> Tensor:
    """Nothing, outside of training.

    Raises:
        NotImplementedError: When the file trains.
    """
    training = given.optional(2)
    if training is not None and bool(training):
        raise NotImplementedError("Dropout in training mode")
    return given.x


def _with(function: Callable[..., Tensor], **defaults: float) -> Callable[[Given], Tensor]:
    """A function of the first input that takes attributes of the same names as torch."""

    def rendered(given: Given) -> Tensor:
        told = {name: given.attribute(name, value) for name, value in defaults.items()}
        return function(given.x, **told)

    return rendered


def _leaky(x: Tensor, *, alpha: float) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Given], Tensor]:
    return lambda given: functools.reduce(function, given.tensors)


def _plain(function: Callable[..., Tensor]) -> Callable[[Given], Tensor]:
    return lambda given: function(*given.tensors)


POINTWISE: Mapping[str, Callable[[Given], Any]] = {
    **{name: _plain(function) for name, function in PLAIN.items()},
    **{name: _folded(function) for name, function in FOLDED.items()},
    "Cast": _cast,
    "CastLike": lambda given: given.x.to(given.tensor(1).dtype),
    "Celu": _with(functional.celu, alpha=1.0),
    "Clip": _clip,
    "Dropout": _dropout,
    "Elu": _with(functional.elu, alpha=1.0),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _with(_leaky, alpha=0.01),
    "Mean": _mean,
    "Mod": _mod,
    "Selu": _selu,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
}
