"""Inputs of your own tell pruning more than any guess: no labels, a few thousand rows."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import coreprune

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(100, 200), nn.Tanh(), nn.Linear(200, 5))

# What this network meets lies near a plane of ten dimensions, which its weights do not know.
plane = torch.randn(10, 100)


def draw(count: int) -> Tensor:
    """Inputs as the network meets them. Shape (count, 100)."""
    return torch.randn(count, 10) @ plane / 10 + 0.02 * torch.randn(count, 100)


def error(model: nn.Module) -> float:
    """Root mean square change of the outputs on fresh inputs."""
    inputs = draw(5000)
    with torch.no_grad():
        return float((model(inputs) - net(inputs)).square().mean().sqrt())


example = draw(1)
laws = {
    "the default": None,
    "standard normal": coreprune.Gaussian(),
    "samples": coreprune.Samples(draw(2000)),
    "samples from a DataLoader": coreprune.Samples(
        DataLoader(TensorDataset(draw(2000)), batch_size=256)
    ),
}
for name, law in laws.items():
    result = coreprune.prune(net, example, keep=0.2, queries=law)
    print(f"{name:>26}: off by {error(result.model):.4f}  ({result.law})")
