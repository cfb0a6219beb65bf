"""What reaches the linear layers of a module for given inputs, and what they give."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from coreprune.shells.calls import Call
from coreprune.shells.moves import Moves
from coreprune.shells.network import InputNorms, See
from coreprune.shells.patches import largest_window_norm, patch_norms, patches
from coreprune.shells.torch_module.running import run
from coreprune.shells.torch_module.spatial import moves_of


def largest_input_norms(
    model: nn.Module,
    calls: Iterable[Call],
    weights: Mapping[str, Tensor],
    *,
    windows: Mapping[str, tuple[int, ...]] | None = None,
) -> InputNorms:
    """The largest Euclidean norm of the inputs of linear layers, of convolutions of their patches.

    Args:
        model: In evaluation mode.
        calls: What to run it on.
        weights: The layers' weight tensors, the very ones that the model uses, by name.
        windows: Extents of windows to measure too, for some of the convolutions.

    Returns:
        The largest norms over all rows, patches and windows of all calls.
    """
    windows = windows or {}
    norms = InputNorms(rows=dict.fromkeys(weights, 0.0), windows=dict.fromkeys(windows, 0.0))
    names = _named(weights)

    def measure(use: _Use) -> Tensor:
        name = names.get(use.weight.data_ptr())
        if name is not None and use.source.numel():
            norms.rows[name] = max(norms.rows[name], _largest(use.norms()))
            if name in windows:
                largest = _largest(use.window_norms(windows[name]))
                norms.windows[name] = max(norms.windows[name], largest)
        return use.output

    with _LinearLayers(measure):
        for call in calls:
            run(model, call)
    return norms


def _largest(norms: Tensor) -> float:
    return float(norms.amax().nan_to_num(torch.inf, torch.inf))


def watch_inputs(
    weights: Mapping[str, Tensor], see: See
) -> contextlib.AbstractContextManager[object]:
    """While it is open, hand over what reaches linear layers.

    Args:
        weights: The layers' weight tensors, the very ones that the model uses, by name.
        see: Called with the weight's name and the input, of shape (..., d) and not empty; of a
            convolution with patches of it, as `patches` takes them.

    Returns:
        A context manager.
    """
    names = _named(weights)

    def watch(use: _Use) -> Tensor:
        name = names.get(use.weight.data_ptr())
        if name is not None and use.source.numel():
            see(name, use.rows())
        return use.output

    return _LinearLayers(watch)


def watch_outputs(
    weights: Mapping[str, Tensor], see: Callable[[str, Tensor, int], None]
) -> contextlib.AbstractContextManager[object]:
    """While it is open, hand over what linear layers give, so that derivatives by it can be taken.

    Args:
        weights: As in `watch_inputs`.
        see: Called with the weight's name, the output, which is not empty and requires a gradient
            where gradients are taken, and its axis that holds the neurons.

    Returns:
        A context manager.
    """
    names = _named(weights)

    def watch(use: _Use) -> Tensor:
        name, output = names.get(use.weight.data_ptr()), use.output
        if name is None or not use.source.numel():
            return output
        if torch.is_grad_enabled() and not output.requires_grad:
            output.requires_grad_()
        see(name, output, -1 if use.is_affine else 1)
        return output.clone()  # what follows may write into it

    return _LinearLayers(watch)


def _named(weights: Mapping[str, Tensor]) -> dict[int, str]:
    return {tensor.data_ptr(): name for name, tensor in weights.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Use:
    """One call of a linear layer."""

    source: Tensor
    weight: Tensor
    rest: tuple[Any, ...]
    named: dict[str, Any]
    output: Tensor

    @property
    def is_affine(self) -> bool:
        """Whether it is a matrix product, not a convolution."""
        return self.weight.ndim == 2

    def rows(self) -> Tensor:
        """What it reads, one row a sum. Shape (..., d)."""
        if self.is_affine:
            return self.source
        return patches(self._batched(), self._moves())

    def norms(self) -> Tensor:
        """Of what it reads, row by row."""
        if self.is_affine:
            sizes: Tensor = torch.linalg.vector_norm(self.source.float(), dim=-1)
            return sizes
        return patch_norms(self._batched(), self._moves())

    def window_norms(self, extents: tuple[int, ...]) -> Tensor:
        """The largest of any window of a convolution's input, example by example."""
        return largest_window_norm(self._batched(), extents)

    def _moves(self) -> Moves:
        return moves_of(tuple(self.weight.shape[2:]), self.rest, self.named)

    def _batched(self) -> Tensor:
        return self.source if self.source.ndim == self.weight.ndim else self.source[None]


_NAMES: Mapping[Any, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            nn.functional.linear,
            nn.functional.conv1d,
            nn.functional.conv2d,
            nn.functional.conv3d,
        ),
        ("input", "weight"),
    ),
    **dict.fromkeys((torch.matmul, Tensor.matmul), ("input", "other")),
    **dict.fromkeys((torch.mm, Tensor.mm), ("input", "mat2")),
    **dict.fromkeys((torch.addmm, Tensor.addmm), ("input", "mat1", "mat2")),
}
"""The parameters of functions; the last two are what a linear layer reads, and its weight."""


class _LinearLayers(TorchFunctionMode):
    """Calls back at every `linear`, `conv1d`, `conv2d`, `conv3d` and product of matrices.

    What the callback returns takes the output's place.
    """

    def __init__(self, watch: Callable[[_Use], Tensor]) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(  # noqa: PLR0917 (the protocol's signature)
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        names = _NAMES.get(func, ())
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        source, weight = (given.get(name) for name in names[-2:] or ("", ""))
        if not (_has_an_address(source) and _has_an_address(weight)):
            return result
        use = _Use(source=source, weight=weight, rest=args[3:], named=kwargs or {}, output=result)
        return self.watch(use)  # within a mode's own function the mode is off


def _has_an_address(given: object) -> TypeGuard[Tensor]:
    """Whether this is a tensor that can be told by its address; one under `vmap` has none."""
    if not isinstance(given, Tensor) or given.layout is not torch.strided:
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(given)
