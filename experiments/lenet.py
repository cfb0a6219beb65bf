"""LeNet-300-100: building, training and checkpoints."""

import hashlib
import json
import math
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.nn import functional

from experiments.mnist import Digits

CACHE = Path(__file__).parent / "cache"
PARAMETERS = 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum 0.9 and a one-cycle learning rate.

    Attributes:
        epochs: Passes over the training images.
        peak_rate: The largest learning rate.
        weight_decay: The weight of ‖parameters‖² / 2 in the gradient's loss.
        batch_size: Images a step.
    """

    epochs: int = 20
    peak_rate: float = 0.05
    weight_decay: float = 5e-4
    batch_size: int = 128


def lenet(*, hidden: tuple[int, int] = (300, 100), seed: int) -> nn.Sequential:
    """An untrained network with torch's usual initialisation, drawn from one seed.

    Args:
        hidden: The widths of fc1 and fc2.
        seed: Of the initial weights.

    Returns:
        The layers fc1, relu1, fc2, relu2, fc3.
    """
    first, second = hidden
    model = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(784, first),
            relu1=nn.ReLU(),
            fc2=nn.Linear(first, second),
            relu2=nn.ReLU(),
            fc3=nn.Linear(second, 10),
        )
    )
    generator = Generator().manual_seed(seed)
    for layer in (model.fc1, model.fc2, model.fc3):
        bound = 1 / math.sqrt(layer.in_features)
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return model


def fit(
    model: nn.Sequential, images: Tensor, labels: Tensor, *, recipe: Recipe, seed: int
) -> nn.Sequential:
    """Train a network in place, on the CPU, repeatable from its seed.

    Args:
        model: The network; its parameters change.
        images: Shape (n, 784).
        labels: Shape (n,).
        recipe: Epochs and rates.
        seed: Of the order of the images.

    Returns:
        The same network.
    """
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.peak_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    steps = recipe.epochs * math.ceil(len(images) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak_rate, total_steps=steps)
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(images), generator=generator).split(recipe.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def error(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The percentage of images put into a wrong class."""
    return 100 * float((model(images).argmax(1) != labels).double().mean())


def num_parameters(model: nn.Module) -> int:
    """How many numbers the network has, zeros included."""
    return sum(parameter.numel() for parameter in model.parameters())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A trained network and what it cost.

    Attributes:
        model: The network.
        seconds: The processor time of its training, then or now.
    """

    model: nn.Sequential
    seconds: float


def trained(digits: Digits, *, seed: int, recipe: Recipe) -> Trained:
    """The network of one seed, trained on all training images or read from the cache.

    Args:
        digits: Only the training images are used.
        seed: Of the weights and of the order of the images.
        recipe: How it is trained.

    Returns:
        The trained network.
    """
    key = {"source": digits.source, "images": len(digits.train_images), **asdict(recipe)}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    path = CACHE / f"lenet-{digest}-seed{seed}.safetensors"
    model = lenet(seed=seed)
    if path.exists():
        model.load_state_dict(load_file(path))
        with safe_open(path, "pt") as file:
            return Trained(model=model, seconds=float(file.metadata()["seconds"]))
    started = time.process_time()
    fit(model, digits.train_images, digits.train_labels, recipe=recipe, seed=seed)
    seconds = time.process_time() - started
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    save_file(model.state_dict(), unfinished, metadata={"seconds": f"{seconds:.1f}"})
    unfinished.replace(path)
    return Trained(model=model, seconds=seconds)
