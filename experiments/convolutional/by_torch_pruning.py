"""torch-pruning at given widths, by the norm of filters or by the scale of normalisations."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from experiments.convolutional.networks import Inner

Importance = Callable[[Any], Tensor | None]


def _magnitude() -> Importance:
    return torch_pruning.importance.MagnitudeImportance(p=1)


def _scale() -> Importance:
    """The scale, and where a group has none, which torch-pruning leaves whole, the norm."""
    scale, norm = torch_pruning.importance.BNScaleImportance(), _magnitude()

    def importance(group: Any) -> Tensor | None:  # noqa: ANN401
        found = scale(group)
        return norm(group) if found is None else found

    return importance


CRITERIA: dict[str, Callable[[], Importance]] = {"L1": _magnitude, "BN scale": _scale}


def prune(
    model: nn.Module, inner: tuple[Inner, ...], widths: Mapping[str, int], *, criterion: str
) -> nn.Module:
    """A narrower copy by local pruning, as the quickstart of torch-pruning does it.

    Args:
        model: Any network of this experiment.
        inner: What is made narrower; all else stays whole.
        widths: Channels to keep, by the layer's name.
        criterion: A name in `CRITERIA`; its group reduction and normalizer are the defaults.

    Returns:
        The smaller network, its kept weights unchanged.
    """
    small = copy.deepcopy(model)  # torch-pruning changes the network it is given
    layers = {one.layer: small.get_submodule(one.layer) for one in inner}
    ratios = {
        # It keeps int(n (1 - ratio)) channels; the half keeps rounding from taking one more.
        layer: max(0.0, 1 - (widths[name] + 0.5) / len(layer.weight))
        for name, layer in layers.items()
    }
    others = [
        module
        for name, module in small.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and name not in layers
    ]
    torch_pruning.pruner.BasePruner(
        small,
        torch.zeros(1, 3, 32, 32),
        importance=CRITERIA[criterion](),
        pruning_ratio=0.0,
        pruning_ratio_dict=ratios,
        ignored_layers=others,
    ).step()
    return small.eval()
