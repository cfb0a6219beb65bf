"""Products of a value and a parameter's transpose, which are linear layers in other words."""

from dataclasses import dataclass
from typing import Any, TypeGuard

from torch import Tensor, fx

from coreprune.shells.torch_module.operators import name_of

PRODUCTS = frozenset({"addmm", "matmul", "mm"})
_RANK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """source · weightᵀ + bias.

    Attributes:
        source: What is multiplied.
        weight: The parameter, of shape (n, d), before it is transposed.
        bias: What is added, or None.
    """

    source: object
    weight: object
    bias: object = None


def product_of(node: fx.Node) -> Product | None:
    """The linear layer that a product is: x @ w.t(), or addmm with factors of 1; else None."""
    if name_of(node) not in PRODUCTS or node.kwargs:
        return None
    given: list[Any] = [None, *node.args]
    bias, source, factor = given[-3:]
    if not is_transpose(factor):
        return None
    if isinstance(bias, fx.Node) and bias.meta["val"].shape != node.meta["val"].shape[-1:]:
        return None
    return Product(source=source, weight=factor.args[0], bias=bias)


def is_transpose(node: object) -> TypeGuard[fx.Node]:
    """Whether a node exchanges the two axes of a matrix."""
    if not isinstance(node, fx.Node) or not node.args or not isinstance(node.args[0], fx.Node):
        return False
    value, rest = node.args[0].meta.get("val"), list[Any](node.args[1:])
    if not isinstance(value, Tensor) or value.ndim != _RANK:
        return False
    if name_of(node) == "permute":
        return [axis % _RANK for axis in rest[0]] == [1, 0]
    if name_of(node) == "transpose":
        return sorted(axis % _RANK for axis in rest) == [0, 1]
    return name_of(node) == "t"
