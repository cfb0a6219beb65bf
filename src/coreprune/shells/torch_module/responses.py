"""How much the network's outputs respond to what its linear layers give."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from coreprune.shells.calls import Call, batch_size
from coreprune.shells.outputs import leaves_of
from coreprune.shells.torch_module.layer_inputs import watch_outputs
from coreprune.shells.torch_module.running import run


def output_metrics(
    model: nn.Module, calls: Iterable[Call], weights: Mapping[str, Tensor], *, seed: int
) -> dict[str, Tensor]:
    """The metric M = E[Σ_rows Jᵀ J] of each linear layer, J the derivative of all outputs by a row.

    A small error e of mean zero in the layer's outputs, the same in law for every row and
    uncorrelated between rows, changes the outputs of an example by tr(M Cov e) in expected squared
    norm, to first order. Random cotangents v with
    independent standard normal entries stand for the outputs: E[(Jᵀv)(Jᵀv)ᵀ | J] = Jᵀ J.

    Args:
        model: In evaluation mode.
        calls: What to run it on.
        weights: The layers' weight tensors, the very ones that the model uses, by name.
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
        for name, gradient in _gradients(model, call, weights=weights, generator=generator):
            rows = gradient.reshape(-1, gradient.shape[-1]).double()
            sums[name].addmm_(rows.T, rows)
    return {name: total / max(1, examples) for name, total in sums.items()}


def _gradients(
    model: nn.Module, call: Call, *, weights: Mapping[str, Tensor], generator: Generator
) -> list[tuple[str, Tensor]]:
    """The derivative of one random combination of the outputs by what each layer gave.

    Its last axis holds the neurons.
    """
    seen: list[tuple[str, Tensor, int]] = []
    with watch_outputs(weights, lambda *use: seen.append(use)):
        output = run(model, call, gradients=True)
    leaves = [leaf for leaf in leaves_of(output) if _is_differentiable(leaf)]
    if not leaves or not seen:
        return []
    cotangents = [torch.randn(leaf.shape, generator=generator).to(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        leaves, [tensor for _, tensor, _ in seen], cotangents, allow_unused=True
    )
    return [
        (name, gradient.movedim(axis, -1))
        for (name, _, axis), gradient in zip(seen, found, strict=True)
        if gradient is not None
    ]


def _is_differentiable(leaf: Any) -> bool:  # noqa: ANN401
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.requires_grad
