"""ResNet-20 and ResNet-56 for CIFAR-10, with the weights of pytorch_resnet_cifar10."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.stored_models import weights_of

WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two convolutions and the input added to them.

    Between stages the input takes every second pixel and gains channels of zeros on both sides
    (option A of He et al. 2016), which has no weights.

    Args:
        width_in: Channels of the input.
        width: Channels of the output.
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.added, self.stride = width - width_in, 1 if width == width_in else 2
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes (b, width_in, h, w) and (b, width, h / stride, w / stride)."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.added:
            side = self.added // 2
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
        return functional.relu(y + x)


class ResNet(nn.Module):
    """Three stages of blocks, of 16, 32 and 64 channels.

    Args:
        blocks: In each stage; the network has 6 blocks + 2 layers.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = _stage(first, first, blocks)
        self.layer2 = _stage(first, second, blocks)
        self.layer3 = _stage(second, third, blocks)
        self.linear = nn.Linear(third, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. Shapes (b, 3, 32, 32) and (b, 10)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def trained_resnet(depth: int = 20) -> ResNet:
    """The trained network in evaluation mode; its inputs are normalised as `IMAGENET`.

    Args:
        depth: 20 or 56; test accuracy 91.73 % and 93.39 %.

    Returns:
        The network.
    """
    model = ResNet((depth - 2) // 6)
    weights = weights_of(f"resnet{depth}-cifar10.safetensors")
    counters = {name: t for name, t in model.state_dict().items() if t.dtype == torch.int64}
    model.load_state_dict({**counters, **weights})
    return model.eval()


def _stage(width_in: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(Block(width_in, width), *(Block(width, width) for _ in range(blocks - 1)))
