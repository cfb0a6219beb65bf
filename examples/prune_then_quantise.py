"""Prune first, then let torchao put the weights into eight bits; the savings multiply."""

import copy

import torch
from torch import Tensor, nn
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

import coreprune


def draw(count: int) -> tuple[Tensor, Tensor]:
    """Noisy copies of ten prototypes, and which one each is. Shapes (count, 64) and (count,)."""
    classes = torch.randint(10, (count,))
    return prototypes[classes] + 1.8 * torch.randn(count, 64), classes


def accuracy(model: nn.Module) -> float:
    """On inputs that nothing has seen."""
    with torch.no_grad():
        return float((model(inputs).argmax(1) == classes).float().mean())


def in_eight_bits(model: nn.Module) -> nn.Module:
    """A copy with eight-bit weights and activations; any module that torchao takes will do."""
    small = copy.deepcopy(model)
    quantize_(small, Int8DynamicActivationInt8WeightConfig())
    return small


def spread(weight: Tensor) -> float:
    """The largest weight over the root mean square: what one scale has to span."""
    return float(weight.abs().max() / weight.square().mean().sqrt())


torch.manual_seed(0)
prototypes = torch.randn(10, 64)
net = nn.Sequential(nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 10))
optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.1)
for _ in range(300):
    inputs, classes = draw(128)
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(inputs), classes).backward()
    optimizer.step()
inputs, classes = draw(5000)

pruned = coreprune.prune(net, torch.randn(1, 64), keep=0.25).model
for name, model in {"original": net, "pruned": pruned}.items():
    # The readers' weights are new: have they become harder to round?
    print(
        f"{name}: {accuracy(model):.1%}, in eight bits {accuracy(in_eight_bits(model)):.1%}; "
        f"the last layer's weights span {spread(model[2].weight.detach()):.1f} times their size"
    )
