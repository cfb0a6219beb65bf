"""What a model gives, down to tensors and plain values."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

COMPARABLE = (Tensor, int, float, complex, str, type(None))
"""Leaves whose values tell whether two outputs are the same."""


def leaves_of(output: Any) -> list[Any]:  # noqa: ANN401
    """The leaves of containers, dataclasses and plain objects, in order.

    Args:
        output: What a forward pass returned.

    Returns:
        Tensors and plain values, and whatever else could not be opened.

    Example:
        >>> from types import SimpleNamespace
        >>> leaves_of({"a": [1, None], "b": SimpleNamespace(c="d")})
        [1, None, 'd']
    """
    return list(_leaves(output, ()))


def _leaves(tree: Any, above: tuple[int, ...]) -> Iterator[Any]:  # noqa: ANN401
    for leaf in pytree.tree_leaves(tree):
        inside = None if id(leaf) in above else _inside(leaf)
        if inside is None:
            yield leaf
        else:
            yield from _leaves(inside, (*above, id(leaf)))


def _inside(leaf: Any) -> list[Any] | None:  # noqa: ANN401
    """What an object holds, or None for what is a leaf or hides what it holds."""
    if isinstance(leaf, COMPARABLE) or callable(leaf):
        return None
    if isinstance(leaf, tuple | list):
        return [*leaf, *vars(leaf).values()] if hasattr(leaf, "__dict__") else list(leaf)
    held = dict(leaf) if isinstance(leaf, Mapping) else {}
    if dataclasses.is_dataclass(leaf):
        held |= {field.name: getattr(leaf, field.name) for field in dataclasses.fields(leaf)}
    held |= getattr(leaf, "__dict__", {})
    return list(held.values()) or None
