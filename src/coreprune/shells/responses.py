"""How much the network's outputs respond to what its linear layers give."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from coreprune.shells.calls import Call, batch_size
from coreprune.shells.outputs import leaves_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a layer gave in one forward pass.

    Attributes:
        weight: The name of the layer's weight.
        output: What it gave, before anything read it; derivatives by it can be taken.
        axis: The axis of the output that holds the neurons.
    """

    weight: str
    output: Tensor
    axis: int


Forward = Callable[[Call], tuple[Any, list[Seen]]]
"""The network's outputs with derivatives, and what its layers gave on the way."""


def output_metrics(
    forward: Forward, calls: Iterable[Call], weights: Mapping[str, Tensor], *, seed: int
) -> dict[str, Tensor]:
    """The metric M = E[Σ_rows Jᵀ J] of each linear layer, J the derivative of all outputs by a row.

    A small error e of mean zero in the layer's outputs, the same in law for every row and
    uncorrelated between rows, changes the outputs of an example by tr(M Cov e) in expected squared
    norm, to first order. Random cotangents v with
    independent standard normal entries stand for the outputs: E[(Jᵀv)(Jᵀv)ᵀ | J] = Jᵀ J.

    Args:
        forward: Runs the network.
        calls: What to run it on.
        weights: The layers' weight tensors by name.
        seed: Fixes the cotangents.

    Returns:
        M by the weights' names, in float64, shape (k, k); zero for a layer that no output depends
        on by a derivative.
    """
    generator = Generator().manual_seed(seed)
    sums = {
        name: weight.new_zeros(len(weight), len(weight)).double()
        for name, weight in weights.items()
    }
    examples = 0
    for call in calls:
        examples += batch_size(call)
        output, seen = forward(call)
        for name, gradient in _gradients(output, seen, generator):
            rows = gradient.reshape(-1, gradient.shape[-1]).double()
            sums[name].addmm_(rows.T, rows)
    return {name: total / max(1, examples) for name, total in sums.items()}


def _gradients(
    output: Any,  # noqa: ANN401
    seen: list[Seen],
    generator: Generator,
) -> Iterator[tuple[str, Tensor]]:
    """The derivative of one random combination of the outputs by what each layer gave.

    Its last axis holds the neurons.
    """
    leaves = [leaf for leaf in leaves_of(output) if _is_differentiable(leaf)]
    if not leaves or not seen:
        return
    cotangents = [torch.randn(leaf.shape, generator=generator).to(leaf) for leaf in leaves]
    found = torch.autograd.grad(leaves, [one.output for one in seen], cotangents, allow_unused=True)
    for one, gradient in zip(seen, found, strict=True):
        if gradient is not None:
            yield one.weight, gradient.movedim(one.axis, -1)


def _is_differentiable(leaf: Any) -> bool:  # noqa: ANN401
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.requires_grad
