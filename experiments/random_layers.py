"""One neuron over a hidden layer drawn from a law."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from coreprune.core.activations import relu
from experiments.coreset_trials import Layer
from experiments.worst_query import Neurons


def gaussian(*shape: int, generator: Generator) -> Tensor:
    """Standard normal entries."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(*shape: int, generator: Generator) -> Tensor:
    """Entries uniform on [−1, 1)."""
    return 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1


def student(*shape: int, generator: Generator) -> Tensor:
    """Entries from Student's law with two degrees of freedom: no finite variance."""
    numerator = gaussian(*shape, generator=generator)
    half_chi_square = -torch.log1p(-torch.rand(*shape, generator=generator, dtype=torch.float64))
    return numerator / half_chi_square.clamp_min(1e-300).sqrt()


LAWS: dict[str, Callable[..., Tensor]] = {
    "Gaussian": gaussian,
    "uniform": uniform,
    "Student t₂": student,
}


def random_layer(
    law: Callable[..., Tensor], *, n: int, d: int, seed: int, signed: bool = True
) -> Layer:
    """One neuron over n ReLU neurons without bias, β = 1.

    Args:
        law: Of the entries of points and weights.
        n: Neurons.
        d: Their inputs.
        seed: Of both.
        signed: Whether the weights keep their signs; if not, their magnitudes are taken.

    Returns:
        The layer; k = 1.
    """
    generator = Generator().manual_seed(seed)
    neurons = Neurons(
        points=law(n, d, generator=generator),
        bias=torch.zeros(n, dtype=torch.float64),
        activation=relu(),
        query_radius=1.0,
    )
    weights = law(1, n, generator=generator)
    return Layer(neurons=neurons, weights=weights if signed else weights.abs())


def with_total(layer: Layer, total: float) -> Layer:
    """The layer with its outgoing weights scaled so that t = Σ_j s_j is the given total."""
    factor = total / layer.sensitivities().sum()
    return Layer(neurons=layer.neurons, weights=layer.weights * factor)
