"""One way to make LeNet-300-100 narrower, shared by the experiments."""

import torch
from torch import nn

import coreprune
from coreprune.core.coreset import Method

RADIUS = 9.2  # the mean norm of a training image; the draws depend on it through the biases alone


def cut(
    model: nn.Sequential, widths: tuple[int, int], *, method: Method, seed: int
) -> nn.Sequential:
    """A copy of the network whose hidden layers are coresets, cut from the top to the bottom.

    Args:
        model: LeNet-300-100.
        widths: Neurons kept in fc1 and fc2; expected ones for importance sampling.
        method: How they are selected.
        seed: Of the draws.

    Returns:
        The smaller network.
    """
    first, second = widths
    result = coreprune.prune(
        model,
        torch.zeros(1, model.fc1.in_features),
        keep={"fc1": first / model.fc1.out_features, "fc2": second / model.fc2.out_features},
        method=method,
        order="top_down",
        seed=seed,
        queries=coreprune.Ball(RADIUS),
    )
    return result.model
