import torch
from torch import Generator

from experiments.repaired.moved import Moved, distorted


def dots(count):
    """Images with one lit square around the middle, labelled with their numbers."""
    images = torch.zeros(count, 28, 28)
    images[:, 13:15, 13:15] = 1
    return images.flatten(1), torch.arange(count)


def test_every_image_comes_once_an_epoch_still_near_its_place():
    images, labels = dots(200)
    loader = Moved(images, labels, batch_size=64, seed=0)
    batches = list(loader)
    assert len(batches) == len(loader) == 4
    assert torch.cat([names for _, names in batches]).sort().values.equal(labels)
    moved = torch.cat([distorted for distorted, _ in batches]).view(-1, 28, 28)
    middle = moved[:, 11:17, 11:17].sum((1, 2))
    torch.testing.assert_close(middle, moved.sum((1, 2)))
    assert middle.std() > 0.01
    places = torch.arange(28.0) @ moved.sum(1).T / moved.sum((1, 2))
    assert 0.2 < float((places - 13.5).abs().mean()) < 1.2


def test_zeros_come_in_from_outside():
    images = distorted(torch.ones(100, 784), generator=Generator().manual_seed(0))
    assert images.min() == 0
    assert images.max() <= 1 + 1e-5


def test_seeds_fix_order_and_distortions_and_epochs_differ():
    images, labels = dots(40)
    one, two = (Moved(images, labels, batch_size=40, seed=3) for _ in range(2))
    first, again = next(iter(one)), next(iter(two))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(next(iter(one))[1], first[1])
