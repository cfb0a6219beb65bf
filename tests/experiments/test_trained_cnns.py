"""The convolutional networks that others trained: they load, and they know their pictures."""

import os

import pytest
import torch

from experiments.cifar import CIFAR, IMAGENET, Pictures, accuracy, train_pictures
from experiments.mnist import NoDataError
from experiments.resnet_cifar import ResNet, trained_resnet
from experiments.stored_models import find
from experiments.vgg_cifar import VGG, trained_vgg

HERE = pytest.mark.skipif(
    not {"COREPRUNE_DATA", "COREPRUNE_MODELS"} <= set(os.environ),
    reason="COREPRUNE_DATA or COREPRUNE_MODELS is not set",
)
SMALL = {"resnet": lambda: ResNet(1), "vgg": lambda: VGG((4, 0, 4, 0, 4, 0, 4, 0, 4, 0), (8, 8))}


@HERE
@pytest.mark.parametrize(
    ("load", "normalisation"),
    [(lambda: trained_resnet(20), IMAGENET), (lambda: trained_resnet(56), IMAGENET),
     (trained_vgg, CIFAR)],
    ids=["resnet20", "resnet56", "vgg16"],
)  # fmt: skip
def test_a_trained_network_knows_training_pictures(load, normalisation):
    model, known = load(), train_pictures(normalisation)
    assert not model.training
    few = Pictures(images=known.images[:100], labels=known.labels[:100])
    assert accuracy(model, few) > 0.9


@pytest.mark.parametrize("name", SMALL)
def test_networks_export_with_any_batch(name):
    model = SMALL[name]().eval()
    batch = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(model, (torch.randn(2, 3, 32, 32),), dynamic_shapes=(batch,))
    x = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(program.module()(x), model(x))


def test_a_residual_block_between_stages_pads_zeros_on_both_sides():
    block = ResNet(1).layer2[0].eval()
    block.bn2.weight.data.zero_()
    x = torch.rand(2, 16, 8, 8)
    expected = torch.zeros(2, 32, 4, 4)
    expected[:, 8:24] = x[:, :, ::2, ::2]
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("given", [True, False])
def test_missing_weights_say_what_to_do(tmp_path, monkeypatch, given):
    monkeypatch.delenv("COREPRUNE_MODELS", raising=False)
    if given:
        monkeypatch.setenv("COREPRUNE_MODELS", str(tmp_path))
    with pytest.raises(NoDataError, match="set COREPRUNE_MODELS to a folder that holds it"):
        find("resnet20-cifar10.safetensors")
