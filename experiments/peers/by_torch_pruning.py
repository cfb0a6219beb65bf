"""torch-pruning at given widths, its criteria as its authors set them."""

import copy

import torch
import torch_pruning
from torch import nn

CRITERIA = {
    "L1": lambda: torch_pruning.importance.MagnitudeImportance(p=1),
    "L2": lambda: torch_pruning.importance.MagnitudeImportance(p=2),
    "FPGM": torch_pruning.importance.FPGMImportance,
    "LAMP": torch_pruning.importance.LAMPImportance,
}


def prune(model: nn.Sequential, widths: tuple[int, int], *, criterion: str) -> nn.Sequential:
    """A narrower copy by local pruning, as the quickstart of torch-pruning does it.

    Args:
        model: LeNet-300-100.
        widths: Neurons kept in fc1 and fc2.
        criterion: A name in `CRITERIA`; its group reduction and normalizer are the defaults.

    Returns:
        The smaller network, its kept weights unchanged.
    """
    small = copy.deepcopy(model)  # torch-pruning changes the network it is given
    ratios = {
        # It keeps int(n (1 - ratio)) neurons; the half keeps rounding from taking one more.
        layer: 1 - (width + 0.5) / layer.out_features
        for layer, width in zip((small.fc1, small.fc2), widths, strict=True)
    }
    torch_pruning.pruner.BasePruner(
        small,
        torch.full((1, small.fc1.in_features), 1 / 3),
        importance=CRITERIA[criterion](),
        pruning_ratio_dict=ratios,
        ignored_layers=[small.fc3],
    ).step()
    return small
