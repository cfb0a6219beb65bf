"""What ONNX operators on one value are as functions of each entry: one literal table."""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from coreprune.core import activations as family
from coreprune.core.elementwise import Activation, affine, compose, custom, identity
from coreprune.shells.onnx_file.nodes import attribute

if TYPE_CHECKING:
    from onnx import NodeProto

Build = Callable[[], Activation]
Numbers = Sequence[float | None]
"""What a node reads, in order: numbers, and None for the value itself and for what is left out."""

QUICK = 1.702
"""β of the sigmoid that is used for the normal distribution function."""


def line(scale: float, shift: float) -> Build:
    """The line scale·z + shift."""
    return lambda: affine(float(scale), float(shift))


def clipped(low: float, high: float) -> Build | None:
    """The clip min(max(z, low), high), where either may be infinite; None where low ≥ high."""
    if math.isnan(low) or math.isnan(high) or not low < high:
        return None
    if math.isinf(low) and math.isinf(high):
        return identity
    if math.isinf(high):
        if low == 0:
            return family.relu
        return lambda: compose(affine(1.0, -low), family.relu(), affine(1.0, low))
    if math.isinf(low):
        return lambda: compose(affine(-1.0, high), family.relu(), affine(-1.0, high))
    return family.relu6 if (low, high) == (0, 6) else functools.partial(family.hardtanh, low, high)


def softsign() -> Activation:
    """φ(z) = z / (1 + |z|)."""
    return custom(functional.softsign, lipschitz=1.0, monotone=True, name="softsign")


def error_function() -> Activation:
    """φ(z) = erf z."""
    slope = 2 / math.sqrt(math.pi) * (1 + 1e-15)
    return custom(torch.erf, lipschitz=slope, monotone=True, name="erf")


def magnitude() -> Activation:
    """φ(z) = |z|: a PReLU of slope −1."""
    return family.prelu(torch.tensor(-1.0, dtype=torch.float64))


def swish(beta: float) -> Build:
    """The function z / (1 + exp(−beta·z))."""
    if beta == 1:
        return family.silu
    return lambda: compose(affine(beta, 0.0), family.silu(), affine(1 / beta, 0.0))


def activation_of(node: "NodeProto", numbers: Numbers) -> Build | None:
    """The function of each entry that a node is, or None when it is not a known one.

    Args:
        node: A node of ONNX's own operators.
        numbers: What it reads: None for the one value.
    """
    make = _TABLE.get(node.op_type)
    return None if make is None else make(node, numbers)


def _plain(build: Build) -> Callable[["NodeProto", Numbers], Build | None]:
    return lambda _, numbers: build if numbers[0] is None else None


def _scaled(node: "NodeProto", numbers: Numbers) -> Build | None:
    left, right = numbers
    factor = left if right is None else right
    if factor is None or (node.op_type == "Div" and (right is None or not right)):
        return None
    return line(factor if node.op_type == "Mul" else 1 / factor, 0.0)


def _shifted(node: "NodeProto", numbers: Numbers) -> Build | None:
    left, right = numbers
    if node.op_type == "Add":
        term = left if right is None else right
        return None if term is None else line(1.0, term)
    if right is not None:
        return line(1.0, -right)
    return None if left is None else line(-1.0, left)


def _limited(node: "NodeProto", numbers: Numbers) -> Build | None:
    if node.op_type == "Clip":
        low, high = [*numbers[1:], None, None][:2]
        return clipped(-math.inf if low is None else low, math.inf if high is None else high)
    limits = [number for number in numbers if number is not None]
    if len(limits) != 1 or len(numbers) != 2:
        return None
    if node.op_type == "Max":
        return clipped(limits[0], math.inf)
    return clipped(-math.inf, limits[0])


def _hardsigmoid(node: "NodeProto", _: Numbers) -> Build:
    slope = attribute(node, "alpha", 0.2)
    middle = attribute(node, "beta", 0.5)
    if abs(slope * 6 - 1) < 1e-6 and middle == 0.5:
        return family.hardsigmoid
    return lambda: compose(affine(slope, middle), family.hardtanh(0.0, 1.0))


def _above(_: "NodeProto", numbers: Numbers) -> Build | None:
    """Whether a value is above a number: the side on which they are equal has no measure."""
    left, right = numbers
    if left is not None or right is None:
        return None
    return lambda: compose(affine(1.0, -right), family.step())


def _elu(node: "NodeProto", _: Numbers) -> Build | None:
    alpha = attribute(node, "alpha", 1.0)
    return functools.partial(family.elu, alpha) if alpha > 0 else None


def _celu(node: "NodeProto", _: Numbers) -> Build | None:
    alpha = attribute(node, "alpha", 1.0)
    return functools.partial(family.celu, alpha) if alpha > 0 else None


def _selu(node: "NodeProto", _: Numbers) -> Build | None:
    usual = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
    close = [abs(attribute(node, name, value) - value) < 1e-6 for name, value in usual.items()]
    return family.selu if all(close) else None


def _gelu(node: "NodeProto", _: Numbers) -> Build:
    return functools.partial(family.gelu, attribute(node, "approximate", "none"))


_TABLE: dict[str, Callable[["NodeProto", Numbers], Build | None]] = {
    "Abs": _plain(magnitude),
    "Add": _shifted,
    "Celu": _celu,
    "Clip": _limited,
    "Div": _scaled,
    "Elu": _elu,
    "Erf": _plain(error_function),
    "Gelu": _gelu,
    "Greater": _above,
    "GreaterOrEqual": _above,
    "HardSigmoid": _hardsigmoid,
    "HardSwish": _plain(family.hardswish),
    "LeakyRelu": lambda node, _: functools.partial(
        family.leaky_relu, attribute(node, "alpha", 0.01)
    ),
    "Max": _limited,
    "Min": _limited,
    "Mish": _plain(family.mish),
    "Mul": _scaled,
    "Neg": _plain(line(-1.0, 0.0)),
    "Relu": _plain(family.relu),
    "Selu": _selu,
    "Sigmoid": _plain(family.sigmoid),
    "Softplus": _plain(family.softplus),
    "Softsign": _plain(softsign),
    "Sub": _shifted,
    "Swish": lambda node, _: swish(attribute(node, "alpha", 1.0)),
    "Tanh": _plain(family.tanh),
}


def evaluated(node: "NodeProto", operands: Sequence[Tensor | float | None]) -> Tensor | None:
    """What a node makes of numbers: None for an operator that is no function of each entry.

    Args:
        node: The node.
        operands: What it reads, values as tensors of the same shape; None for what is left out.
    """
    count, rule = _RULES.get(node.op_type, (0, None))
    if rule is not None:
        given = [operand for operand in operands if operand is not None]
        return rule(*given) if len(given) == count == len(operands) else None
    values = [operand for operand in operands if isinstance(operand, Tensor)]
    if len(values) != 1 or values[0] is not operands[0]:
        return None
    numbers = [None if isinstance(operand, Tensor) else operand for operand in operands]
    build = activation_of(node, numbers)
    return None if build is None else build()(values[0])


def _wide(operand: Tensor | float) -> Tensor:
    return operand if isinstance(operand, Tensor) else torch.tensor(operand, dtype=torch.float64)


_RULES: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "Add": (2, operator.add),
    "Div": (2, operator.truediv),
    "Exp": (1, torch.exp),
    "Less": (2, lambda left, right: (left < right).double()),
    "LessOrEqual": (2, lambda left, right: (left <= right).double()),
    "Log": (1, torch.log),
    "Max": (2, lambda left, right: torch.maximum(_wide(left), _wide(right))),
    "Min": (2, lambda left, right: torch.minimum(_wide(left), _wide(right))),
    "Mul": (2, operator.mul),
    "Pow": (2, operator.pow),
    "Reciprocal": (1, torch.reciprocal),
    "Sqrt": (1, torch.sqrt),
    "Sub": (2, operator.sub),
    "Where": (3, lambda chosen, left, right: torch.where(chosen > 0, left, right)),
}
"""Operators of numbers by how many they read."""
EVALUATED = frozenset({*_TABLE, *_RULES})
