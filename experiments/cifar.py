"""CIFAR-10 from the folder `cifar10` under `COREPRUNE_DATA`, its bytes checked."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.mnist import NoDataError

CONTENT = {
    "test.npz": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "train-5000.npz": "c60be474cc3b1f259ec6533177319e08544ec7e5bae0fb92dff084d381b65826",
}
"""SHA-256 of the pixels in each file."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How pixels become inputs: (pixel / 255 − mean) / deviation, channel by channel.

    Attributes:
        mean: Of red, green and blue.
        deviation: Of red, green and blue.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def inputs(self, pixels: Tensor) -> Tensor:
        """Inputs of a network.

        Args:
            pixels: Bytes. Shape (n, height, width, 3).

        Returns:
            Shape (n, 3, height, width).
        """
        mean, deviation = (torch.tensor(row).view(3, 1, 1) for row in (self.mean, self.deviation))
        return ((pixels.permute(0, 3, 1, 2).float() / 255 - mean) / deviation).contiguous()


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""That of ImageNet, which the residual networks were trained with."""

CIFAR = Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
"""That of CIFAR-10 itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Labelled pictures.

    Attributes:
        images: Normalised. Shape (n, 3, 32, 32).
        labels: Shape (n,).
    """

    images: Tensor
    labels: Tensor


def final_pictures(normalisation: Normalisation) -> Pictures:
    """The 10,000 test images: for final evaluations, never for choices.

    Args:
        normalisation: That of the network.

    Returns:
        The pictures.
    """
    return _read("test.npz", normalisation)


def train_pictures(normalisation: Normalisation) -> Pictures:
    """The first 5,000 training images.

    Args:
        normalisation: That of the network.

    Returns:
        The pictures.
    """
    return _read("train-5000.npz", normalisation)


@torch.no_grad()
def accuracy(model: nn.Module, pictures: Pictures, *, batch: int = 500) -> float:
    """The share of pictures that a network puts into their class, in [0, 1].

    Args:
        model: In evaluation mode.
        pictures: At least one.
        batch: Pictures in one call.

    Returns:
        The share.
    """
    parts = zip(pictures.images.split(batch), pictures.labels.split(batch), strict=True)
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in parts)
    return right / len(pictures.labels)


def _read(name: str, normalisation: Normalisation) -> Pictures:
    """One file's pictures.

    Raises:
        NoDataError: When the file is not here, or not the one expected.
    """
    given = os.environ.get("COREPRUNE_DATA")
    path = Path(given) / "cifar10" / name if given else None
    if path is None or not path.exists():
        raise NoDataError(
            f"CIFAR-10 was not found; set COREPRUNE_DATA to a folder whose subfolder cifar10 "
            f"holds {name} (x uint8 of shape n, 32, 32, 3, and y)"
        )
    with np.load(path, allow_pickle=False) as arrays:
        pixels, labels = arrays["x"], arrays["y"]
    if hashlib.sha256(pixels.tobytes()).hexdigest() != CONTENT[name]:
        raise NoDataError(f"{path} is not CIFAR-10: its SHA-256 differs; delete or replace it")
    return Pictures(
        images=normalisation.inputs(torch.from_numpy(pixels)),
        labels=torch.from_numpy(labels.astype(np.int64)),
    )
