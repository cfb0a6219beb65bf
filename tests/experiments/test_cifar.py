import hashlib
import os

import numpy as np
import pytest
import torch
from torch import nn

from experiments import cifar
from experiments.mnist import NoDataError

HERE = pytest.mark.skipif("COREPRUNE_DATA" not in os.environ, reason="COREPRUNE_DATA is not set")


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two test pictures, black with one white pixel, in place of the 10,000."""
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[1, 4, 5, 2] = 255
    (tmp_path / "cifar10").mkdir()
    np.savez(tmp_path / "cifar10" / "test.npz", x=pixels, y=np.array([7, 3]))
    monkeypatch.setenv("COREPRUNE_DATA", str(tmp_path))
    monkeypatch.setitem(cifar.CONTENT, "test.npz", hashlib.sha256(pixels.tobytes()).hexdigest())
    return pixels


def test_pictures_are_normalised_channel_by_channel(two):
    found = cifar.final_pictures(cifar.IMAGENET)
    assert found.images.shape == (2, 3, 32, 32)
    assert found.labels.tolist() == [7, 3]
    black = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    torch.testing.assert_close(found.images[0, :, 0, 0], torch.tensor(black))
    white = (1 - 0.406) / 0.225
    assert found.images[1, 2, 4, 5].item() == pytest.approx(white)
    assert (found.images[1] != found.images[0]).sum() == 1


def test_accuracy_is_the_share_of_right_classes(two):
    class Sevens(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.full((len(x),), 7), 10).float()

    assert cifar.accuracy(Sevens(), cifar.final_pictures(cifar.CIFAR), batch=1) == 0.5


def test_other_bytes_are_refused(two, monkeypatch):
    monkeypatch.setitem(cifar.CONTENT, "test.npz", "0" * 64)
    with pytest.raises(NoDataError, match="SHA-256 differs"):
        cifar.final_pictures(cifar.CIFAR)


@pytest.mark.parametrize("given", [True, False])
def test_a_missing_file_says_what_to_do(tmp_path, monkeypatch, given):
    monkeypatch.delenv("COREPRUNE_DATA", raising=False)
    if given:
        monkeypatch.setenv("COREPRUNE_DATA", str(tmp_path))
    with pytest.raises(NoDataError, match=r"set COREPRUNE_DATA .* holds train-5000.npz"):
        cifar.train_pictures(cifar.CIFAR)


@HERE
def test_the_first_training_pictures_are_those_of_cifar_10():
    found = cifar.train_pictures(cifar.CIFAR)
    assert found.images.shape == (5000, 3, 32, 32)
    assert found.labels[:5].tolist() == [6, 9, 9, 4, 1]
    deviation, mean = torch.std_mean(found.images, (0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(3), atol=0.03, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(3), atol=0.03, rtol=0)
