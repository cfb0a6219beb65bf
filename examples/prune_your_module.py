"""A module of your own: see what can be cut, prune, see what every size costs, save, export."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

import coreprune


class Net(nn.Module):
    """A small image network with a residual block: nothing in it knows of pruning."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 24, 3, padding=1)
        self.outer = nn.Conv2d(24, 8, 3, padding=1)
        self.hidden = nn.Linear(8 * 16, 60)
        self.head = nn.Linear(60, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Shapes (batch, 3, 12, 12) and (batch, 10)."""
        x = torch.relu(self.stem(images))
        x = x + self.outer(torch.relu(self.inner(x)))
        x = nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.head(torch.relu(self.hidden(x)))


torch.manual_seed(0)
net = Net().eval()  # yours would be trained
example = torch.randn(1, 3, 12, 12)  # of typical size and sign

# What can be cut, and what cannot and why?
print(coreprune.inspect(net, example))

# Keep 40 % of the parameters, shared between the layers by what neurons are worth to the outputs.
# The library would take such pictures by itself; saying so names the choice.
result = coreprune.prune(
    net, example, keep=coreprune.Budget(parameters=0.4), queries=coreprune.DeadLeaves()
)
print(result)
print(f"off by {result.measured_error:.3f} where outputs vary by {result.output_spread:.3f}")

# What would other sizes have cost? `coreprune.curve` says it without cutting anything.
for point in result.curve[:: max(1, len(result.curve) // 5)]:
    print(f"{point.parameters:.0%} of the parameters: expected error {point.expected_error:.3f}")

with tempfile.TemporaryDirectory() as folder:
    # Weights and a record, no pickle; a fresh instance of your class takes them.
    result.save(Path(folder) / "small")
    loaded = coreprune.load(Path(folder) / "small", into=Net()).eval()
    assert torch.equal(loaded(example), result.model(example))

    # A program that needs none of your code, for any batch size.
    result.to_exported(Path(folder) / "small.pt2")
    program = torch.export.load(Path(folder) / "small.pt2").module()
    print("exported; a batch of eight gives", tuple(program(example.expand(8, -1, -1, -1)).shape))
