"""The convolutional networks of this experiment, and what of them can be made narrower."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, nn
from torch.utils.flop_counter import FlopCounterMode

from experiments.cifar import CIFAR, IMAGENET, Normalisation, Pictures, final_pictures
from experiments.lenet import num_parameters
from experiments.mnist import NoDataError
from experiments.resnet_cifar import Block, ResNet, trained_resnet
from experiments.vgg_cifar import trained_vgg


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A layer whose channels, or neurons, one other layer reads.

    Attributes:
        layer: Its name.
        norm: The batch normalisation after it, if there is one.
        reader: The layer that reads it.
    """

    layer: str
    norm: str | None
    reader: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A network and the pictures it is judged by.

    Attributes:
        model: In evaluation mode.
        inner: What can be made narrower.
        normalisation: How pictures become its inputs.
        source: Where network and pictures come from, in words.
    """

    model: nn.Module
    inner: tuple[Inner, ...]
    normalisation: Normalisation
    source: str = "CIFAR-10"

    def pictures(self) -> Pictures:
        """The test pictures; of the stand-in, noise."""
        if self.source == "CIFAR-10":
            return final_pictures(self.normalisation)
        images = torch.randn(1000, 3, 32, 32, generator=Generator().manual_seed(1))
        return Pictures(images=images, labels=torch.arange(1000) % 10)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Normalisation]] = {
    "ResNet-20": (lambda: trained_resnet(20), IMAGENET),
    "ResNet-56": (lambda: trained_resnet(56), IMAGENET),
    "VGG-16": (trained_vgg, CIFAR),
}


def subject_of(name: str, *, quick: bool = False) -> Subject:
    """One network.

    Args:
        name: In `NETWORKS`.
        quick: Whether an untrained network and noise do where weights or pictures are missing.

    Returns:
        The network.

    Raises:
        NoDataError: When its weights or the test pictures are not here.
    """
    load, normalisation = NETWORKS[name]
    try:
        model = load()
        found = Subject(model=model, inner=inner_of(model), normalisation=normalisation)
        found.pictures()
    except NoDataError:
        if not quick:
            raise
        return stand_in()
    return found


def stand_in() -> Subject:
    """A small untrained network that nobody needs to download."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ResNet(1).eval()
    found = Subject(model=model, inner=inner_of(model), normalisation=IMAGENET)
    return replace(found, source="an untrained network and noise")


def inner_of(model: nn.Module) -> tuple[Inner, ...]:
    """What of a network can be made narrower without touching a residual sum or the output.

    Args:
        model: A residual network, or a chain of layers.

    Returns:
        Its inner layers, from the input to the output.
    """
    blocks = [name for name, module in model.named_modules() if isinstance(module, Block)]
    if blocks:
        return tuple(
            Inner(layer=f"{name}.conv1", norm=f"{name}.bn1", reader=f"{name}.conv2")
            for name in blocks
        )
    return _inner_of_chain(model)


def _inner_of_chain(model: nn.Module) -> tuple[Inner, ...]:
    layers: list[str] = []
    norms: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            layers.append(name)
        elif isinstance(module, nn.BatchNorm2d):
            norms[layers[-1]] = name
    return tuple(
        Inner(layer=layer, norm=norms.get(layer), reader=reader)
        for layer, reader in itertools.pairwise(layers)
    )


def widths_of(model: nn.Module, inner: tuple[Inner, ...]) -> dict[str, int]:
    """The channels, or neurons, of the inner layers by name."""
    return {one.layer: len(model.get_submodule(one.layer).weight) for one in inner}


def widths_at(keep: float, model: nn.Module, inner: tuple[Inner, ...]) -> dict[str, int]:
    """A share of every width, rounded as the library rounds it.

    Args:
        keep: The share.
        model: The network.
        inner: What is made narrower.

    Returns:
        At least one channel each, by name.
    """
    whole = widths_of(model, inner)
    return {name: max(1, int(keep * width + 0.5)) for name, width in whole.items()}


def size_of(model: nn.Module) -> dict[str, int]:
    """Parameters, and the floating-point operations for one picture.

    Args:
        model: For pictures of 32 × 32.

    Returns:
        `parameters` and `flops`.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    return {"parameters": num_parameters(model), "flops": counter.get_total_flops()}
