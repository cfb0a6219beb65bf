"""One way to make LeNet-300-100 narrower, shared by the experiments."""

import copy

import torch
from torch import Generator, nn

from coreprune.core.activations import relu
from coreprune.core.coreset import Method, layer_coreset

RADIUS = 9.2  # the mean norm of a training image; the draws depend on it through the biases alone


@torch.no_grad()
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
    small, generator = copy.deepcopy(model), Generator().manual_seed(seed)
    stages = ((small.fc2, small.fc3, widths[1]), (small.fc1, small.fc2, widths[0]))
    for layer, following, num_neurons in stages:
        subset = layer_coreset(
            layer.weight,
            following.weight,
            num_neurons=num_neurons,
            activation=relu(),
            query_radius=RADIUS,
            bias=layer.bias,
            method=method,
            generator=generator,
        )
        layer.weight = nn.Parameter(layer.weight[subset.indices])
        layer.bias = nn.Parameter(layer.bias[subset.indices])
        following.weight = nn.Parameter(subset.weights)
        following.in_features = layer.out_features = len(subset.indices)
    return small
