"""Products of a value and a parameter's transpose, which are linear layers in other words."""

from dataclasses import dataclass

from torch import fx

from coreprune.shells.torch_module.operators import name_of

_PRODUCTS = frozenset({"addmm", "matmul", "mm"})
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
    weight: fx.Node
    bias: object = None


def product_of(node: fx.Node) -> Product | None:
    """The linear layer that a product is: x @ w.t(), or addmm with factors of 1; else None."""
    if name_of(node) not in _PRODUCTS or node.kwargs:
        return None
    bias, source, factor = [*[None] * (3 - len(node.args)), *node.args]
    if not is_transpose(factor):
        return None
    weight = factor.args[0]  # type: ignore[union-attr]
    if bias is not None and isinstance(bias, fx.Node):
        shape = node.meta["val"].shape
        if tuple(bias.meta["val"].shape) != (shape[-1],):
            return None
    return Product(source=source, weight=weight, bias=bias)  # type: ignore[arg-type]


def is_transpose(node: object) -> bool:
    """Whether a node exchanges the two axes of a matrix."""
    if not isinstance(node, fx.Node) or not node.args or not isinstance(node.args[0], fx.Node):
        return False
    value = node.args[0].meta.get("val")
    if value is None or value.ndim != _RANK:
        return False
    rest = node.args[1:]
    if name_of(node) == "permute":
        return [axis % _RANK for axis in rest[0]] == [1, 0]  # type: ignore[union-attr, operator]
    if name_of(node) == "transpose":
        return sorted(axis % _RANK for axis in rest) == [0, 1]  # type: ignore[operator]
    return name_of(node) == "t"
