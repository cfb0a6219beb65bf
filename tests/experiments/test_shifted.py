import torch

from experiments.repaired.shifted import Shifted


def dots(count):
    """Images with one lit pixel in the middle, labelled with their numbers."""
    images = torch.zeros(count, 28, 28)
    images[:, 13, 13] = 1
    return images.flatten(1), torch.arange(count)


def test_every_image_comes_once_an_epoch_moved_by_at_most_a_pixel():
    images, labels = dots(500)
    loader = Shifted(images, labels, batch_size=64, seed=0)
    batches = list(loader)
    assert len(batches) == len(loader) == 8
    assert torch.cat([names for _, names in batches]).sort().values.equal(labels)
    places = torch.cat([moved for moved, _ in batches]).view(-1, 28, 28).nonzero()[:, 1:]
    counts = torch.zeros(3, 3)
    for down, right in (places - 12).tolist():
        counts[down, right] += 1
    assert counts.sum() == 500
    assert counts.min() > 500 / 9 - 40


def test_what_leaves_the_image_does_not_come_in_on_the_other_side():
    images = torch.ones(100, 784)
    moved = next(iter(Shifted(images, torch.zeros(100), batch_size=100, seed=0)))[0]
    sums = moved.sum(1)
    assert set(sums.tolist()) == {784.0, 784.0 - 28, 27.0 * 27}


def test_seeds_fix_order_and_moves_and_epochs_differ():
    images, labels = dots(40)
    one, two = (Shifted(images, labels, batch_size=40, seed=3) for _ in range(2))
    first, again = next(iter(one)), next(iter(two))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(next(iter(one))[1], first[1])
