"""What is approximated: the first hidden layer of a trained LeNet-300-100."""

import torch

from coreprune.core.activations import relu
from experiments import lenet, mnist
from experiments.coreset_trials import Layer
from experiments.worst_query import Neurons

QUERY_RADIUS = 9.2  # about the mean norm of a training digit


def trained_layers(*, seeds: range, quick: bool) -> tuple[list[Layer], float, str]:
    """Layer fc1 as all neurons of fc2 read it, one for each seed of the training.

    Args:
        seeds: Of the networks.
        quick: Whether a short training on few digits does.

    Returns:
        The layers, the mean norm of the training digits, and where the digits come from.
    """
    digits = mnist.load(quick=quick)
    recipe = lenet.Recipe(epochs=2) if quick else lenet.Recipe()
    layers = []
    for seed in seeds:
        model = lenet.trained(digits, seed=seed, recipe=recipe).model
        neurons = Neurons(
            points=model.fc1.weight.detach().double(),
            bias=model.fc1.bias.detach().double(),
            activation=relu(),
            query_radius=QUERY_RADIUS,
        )
        layers.append(Layer(neurons=neurons, weights=model.fc2.weight.detach().double()))
    norms = torch.linalg.vector_norm(digits.train_images, dim=1)
    return layers, float(norms.mean()), digits.source


def first_output(layer: Layer) -> Layer:
    """The same layer as the first neuron of the next layer alone reads it."""
    return Layer(neurons=layer.neurons, weights=layer.weights[:1])
