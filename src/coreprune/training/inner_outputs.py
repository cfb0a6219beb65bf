"""What the convolutions inside two networks give, side by side."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from coreprune.shells.torch_module.layer_inputs import watch_outputs
from coreprune.shells.torch_module.tensors import tensors_of

Rows = Mapping[str, Sequence[int]]
"""Which channels of a convolution are left, by its weight's name."""


def inner_layers(teacher: nn.Module, student: nn.Module, kept: Rows) -> dict[str, Tensor | None]:
    """The convolutions whose outputs can be compared.

    Linear layers are left out: those of small networks learn better from the outputs alone.

    Args:
        teacher: The network that was pruned.
        student: What is left of it.
        kept: Of convolutions that lost channels those that are left.

    Returns:
        By the weight's name, of a convolution that lost some those that are left; else None.
    """
    whole, left = tensors_of(teacher), tensors_of(student)
    found: dict[str, Tensor | None] = {}
    for name, tensor in left.items():
        if tensor.ndim < 3 or name not in whole:
            continue
        if len(tensor) == len(whole[name]):
            found[name] = None
        elif len(kept.get(name, ())) == len(tensor):
            found[name] = torch.tensor(kept[name], device=tensor.device)
    return found


class Outputs:
    """What convolutions of a network give while it runs, in the order in which they run.

    Args:
        model: The network.
        layers: As `inner_layers` gives them.
        restrict: Whether only what is left of the outputs counts: for the teacher.
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, Tensor | None], *, restrict: bool
    ) -> None:
        self.layers, self.restrict = layers, restrict
        own = tensors_of(model)
        self.weights = {name: own[name] for name in layers}
        self.given: list[Tensor] = []

    def watched(self) -> AbstractContextManager[object]:
        """While it is open, `given` fills; it begins empty."""
        self.given = []
        return watch_outputs(self.weights, self._see)

    def _see(self, name: str, output: Tensor, axis: int) -> None:
        rows = self.layers[name] if self.restrict else None
        self.given.append(output if rows is None else output.index_select(axis, rows))
