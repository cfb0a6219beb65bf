"""Example inputs as a call of the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """Positional and keyword arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        """Every tensor in the arguments."""
        return [leaf for leaf in self.leaves() if _is_tensor(leaf)]

    def leaves(self) -> list[Any]:
        """Everything in the arguments."""
        return pytree.tree_leaves((self.args, self.kwargs))

    def with_tensor(self, tensor: Tensor) -> "Call":
        """The same call with every tensor in it replaced by this one."""
        return self.mapped(lambda leaf: tensor if _is_tensor(leaf) else leaf)

    def like(self, other: "Call") -> "Call":
        """The same call on the other's device, floating-point tensors in its floating type."""
        known = other.tensors()
        floating = [tensor.dtype for tensor in known if tensor.is_floating_point()]

        def moved(leaf: Any) -> Any:  # noqa: ANN401
            if not _is_tensor(leaf) or not known:
                return leaf
            wide = leaf.is_floating_point() and floating
            return leaf.to(known[0].device, floating[0] if wide else leaf.dtype)

        return self.mapped(moved)

    def typed(self, dtype: torch.dtype) -> "Call":
        """The same call with every floating-point tensor in it of this type."""
        return self.mapped(
            lambda leaf: leaf.to(dtype) if _is_tensor(leaf) and leaf.is_floating_point() else leaf
        )

    def mapped(self, change: Callable[[Any], Any]) -> "Call":
        """The same call with every leaf of its arguments changed."""
        args, kwargs = pytree.tree_map(change, (self.args, self.kwargs))
        return Call(args=args, kwargs=kwargs)


def call_of(example_inputs: Any, example_kwargs: Mapping[str, Any] | None) -> Call:  # noqa: ANN401
    """A tuple or list holds the positional arguments; anything else is the only one."""
    several = isinstance(example_inputs, tuple | list)
    args = tuple(example_inputs) if several else (example_inputs,)
    return Call(args=args, kwargs=dict(example_kwargs or {}))


def first_line(reason: BaseException) -> str:
    """What an exception says, in one line."""
    return next(iter(str(reason).strip().splitlines()), "no message")


def batch_size(call: Call) -> int:
    """The size of axis 0 of the first tensor that has one; 1 where there is none."""
    return next((len(tensor) for tensor in call.tensors() if tensor.ndim > 0), 1)


def other_batch(call: Call) -> Call:
    """The same call with the batch, axis 0 of the first tensor, twice as large."""
    tensors = [tensor for tensor in call.tensors() if tensor.ndim > 0]
    batch = len(tensors[0]) if tensors else None

    def doubled(leaf: Any) -> Any:  # noqa: ANN401
        if _is_tensor(leaf) and leaf.ndim > 0 and len(leaf) == batch:
            return torch.cat([leaf, leaf])
        return leaf

    return call.mapped(doubled)


def _is_tensor(leaf: Any) -> bool:  # noqa: ANN401
    return isinstance(leaf, Tensor)
