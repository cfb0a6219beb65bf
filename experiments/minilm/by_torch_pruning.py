"""torch-pruning at given widths, by the norm of a neuron's weights."""

import torch
import torch_pruning
from torch import nn


def prune(model: nn.Module, *, keep: float) -> nn.Module:
    """Remove the inner neurons of least norm of every feed-forward block.

    Args:
        model: Of BERT's kind; it is changed.
        keep: The share of neurons to keep.

    Returns:
        The model, its kept weights unchanged.
    """
    inner = [layer.intermediate.dense for layer in model.encoder.layer]
    others = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and all(module is not layer for layer in inner)
    ]
    # It keeps int(n (1 - ratio)) neurons; the half keeps rounding from taking one more.
    ratios = {layer: 1 - (round(keep * layer.out_features) + 0.5) / layer.out_features
              for layer in inner}  # fmt: skip
    torch_pruning.pruner.BasePruner(
        model,
        {"input_ids": torch.ones(1, 8, dtype=torch.int64)},
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=0.0,
        pruning_ratio_dict=ratios,
        ignored_layers=others,
        output_transform=lambda output: output.last_hidden_state.sum(),
    ).step()
    return model.eval()
