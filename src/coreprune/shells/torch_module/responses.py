"""How much a module's outputs respond to what its linear layers give."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from coreprune.shells import responses
from coreprune.shells.calls import Call
from coreprune.shells.responses import Seen
from coreprune.shells.torch_module.layer_inputs import watch_outputs
from coreprune.shells.torch_module.running import run


def output_metrics(
    model: nn.Module, calls: Iterable[Call], weights: Mapping[str, Tensor], *, seed: int
) -> dict[str, Tensor]:
    """The metric of each linear layer, as `coreprune.shells.responses.output_metrics` has it.

    Args:
        model: In evaluation mode.
        calls: What to run it on.
        weights: The layers' weight tensors, the very ones that the model uses, by name.
        seed: Fixes the cotangents.

    Returns:
        M by the weights' names, in float64, shape (k, k); zero for a layer that no output depends
        on by a derivative.
    """

    def forward(call: Call) -> tuple[Any, list[Seen]]:
        seen: list[Seen] = []

        def note(name: str, output: Tensor, axis: int) -> None:
            seen.append(Seen(weight=name, output=output, axis=axis))

        with watch_outputs(weights, note):
            output = run(model, call, gradients=True)
        return output, seen

    return responses.output_metrics(forward, calls, weights, seed=seed)
