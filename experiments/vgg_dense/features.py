"""What the dense part of VGG-16 reads, computed once: its convolutions stay as they are."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor

from coreprune.shells.torch_module.files import tensors_hash
from experiments.cifar import CIFAR, final_pictures, train_pictures
from experiments.cifar_full import full_train_pixels
from experiments.progress import progress
from experiments.vgg_cifar import VGG

PART = 2_500
"""Pictures computed and kept together."""


def features_of(model: VGG, images: Sequence[Tensor], *, folder: Path | None, name: str) -> Tensor:
    """The outputs of the convolutions.

    Args:
        model: In evaluation mode.
        images: Parts of at most a few thousand. Shapes (n, 3, 32, 32).
        folder: Where they are kept, part by part; None keeps none.
        name: What the pictures are called there.

    Returns:
        Shape (total of n, channels).
    """
    digest = tensors_hash(model.features.state_dict())[:8]
    parts = []
    for number, part in enumerate(progress(images, f"features of {name}")):
        path = folder and folder / f"{name}-{digest}-{len(part)}-{number}.safetensors"
        parts.append(_features(model, part, path))
    return torch.cat(parts)


@torch.no_grad()
def _features(model: VGG, images: Tensor, path: Path | None) -> Tensor:
    if path is not None and path.exists():
        return load_file(path)["features"]
    found = torch.cat([model.flatten(model.features(batch)) for batch in images.split(250)])
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file({"features": found}, unfinished)
        unfinished.replace(path)
    return found


class Normalised(Sequence[Tensor]):
    """Parts of stored pictures, normalised when they are asked for: all at once would be large."""

    def __init__(self, pixels: Tensor) -> None:
        self.parts = pixels.split(PART)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        return CIFAR.inputs(self.parts[number])


def train_features(model: VGG, *, folder: Path | None, count: int | None) -> tuple[Tensor, Tensor]:
    """Features and labels of the training images.

    Args:
        model: The network.
        folder: Where features are kept.
        count: How many of the first 5,000 do; None for all 50,000.

    Returns:
        Shapes (n, channels) and (n,).

    Raises:
        NoDataError: When the pictures are not here.
    """
    if count is None:
        stored = full_train_pixels()
        images = Normalised(stored.pixels)
        return features_of(model, images, folder=folder, name="train"), stored.labels
    known = train_pictures(CIFAR)
    parts = known.images[:count].split(PART)
    return features_of(model, parts, folder=folder, name="train"), known.labels[:count]


def final_features(model: VGG, *, folder: Path | None, count: int | None) -> tuple[Tensor, Tensor]:
    """Features and labels of the test images, for the final evaluation.

    Args:
        model: The network.
        folder: Where features are kept.
        count: How many; None for all.

    Returns:
        Shapes (n, channels) and (n,).

    Raises:
        NoDataError: When the pictures are not here.
    """
    known = final_pictures(CIFAR)
    parts = known.images[:count].split(PART)
    return features_of(model, parts, folder=folder, name="test"), known.labels[:count]


def noise_features(channels: int, *, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """What takes their place where there are no pictures."""
    generator = Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    return torch.rand(count, channels, generator=generator), labels
