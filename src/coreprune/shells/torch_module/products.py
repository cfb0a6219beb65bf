"""Products of a value and a parameter's transpose, which are linear layers in other words."""

from typing import Any, TypeGuard

from torch import Tensor, fx

from coreprune.graph.ir import Affine
from coreprune.shells.torch_module.names import Names, affine_name
from coreprune.shells.torch_module.operators import name_of

PRODUCTS = frozenset({"addmm", "matmul", "mm"})
_RANK = 2


def product_layer(node: fx.Node, names: Names) -> Affine | None:
    """The linear layer that a product is: x @ w.t(), or addmm with factors of 1; else None."""
    if name_of(node) not in PRODUCTS or node.kwargs:
        return None
    given: list[Any] = [None, *node.args]
    bias, source, factor = given[-3:]
    if not _is_transpose(factor) or not names.is_value(source):
        return None
    weight = factor.args[0]
    if not names.is_parameter(weight) or not _is_bias(bias, names, of=node):
        return None
    key, shift = names.parameter(weight), None if bias is None else names.parameter(bias)
    return Affine(
        name=affine_name(key, shift),
        input=names.value(source),
        output=names.value(node),
        weight=key,
        bias=shift,
    )


def is_turned(node: fx.Node, names: Names) -> bool:
    """Whether a parameter is transposed for layers alone."""
    return (
        _is_transpose(node)
        and names.is_parameter(node.args[0])
        and all(product_layer(use, names) is not None for use in node.users)
    )


def _is_bias(node: object, names: Names, *, of: fx.Node) -> bool:
    """Whether what is added is a parameter with an entry for each neuron, or nothing."""
    if node is None:
        return True
    return names.is_parameter(node) and node.meta["val"].shape == of.meta["val"].shape[-1:]


def _is_transpose(node: object) -> TypeGuard[fx.Node]:
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
