"""Prune nineteen twentieths of a trained classifier, and repair it without data."""

import torch
from torch import Tensor, nn

import coreprune


def draw(count: int) -> tuple[Tensor, Tensor]:
    """Noisy copies of ten prototypes, and which one each is. Shapes (count, 64) and (count,)."""
    classes = torch.randint(10, (count,))
    return prototypes[classes] + 1.8 * torch.randn(count, 64), classes


def accuracy(model: nn.Module) -> float:
    """On inputs that nothing has seen."""
    with torch.no_grad():
        return float((model(inputs).argmax(1) == classes).float().mean())


torch.manual_seed(0)
prototypes = torch.randn(10, 64)
net = nn.Sequential(
    nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)
)
optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.1)
for _ in range(300):
    inputs, classes = draw(128)
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(inputs), classes).backward()
    optimizer.step()
inputs, classes = draw(5000)
print(f"trained: {accuracy(net):.1%}")

# From here on no data are used, but to tell what the networks are worth.
budget = coreprune.Budget(parameters=0.05)
pruned = coreprune.prune(net, torch.randn(1, 64), keep=budget)
share = pruned.parameters_after / pruned.parameters_before
print(f"{share:.1%} of the parameters: {accuracy(pruned.model):.1%}")

settings = coreprune.Repair(steps=600)  # or seconds=60
repaired = coreprune.prune(net, torch.randn(1, 64), keep=budget, repair=settings)
before, after = repaired.repair.loss_before, repaired.repair.loss_after
print(f"repaired, loss {before:.3f} → {after:.3f}: {accuracy(repaired.model):.1%}")
