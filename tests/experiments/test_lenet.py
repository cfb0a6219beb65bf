import pytest
import torch
from torch import Generator

from coreprune.core.coreset import SAMPLERS
from experiments.cut import cut
from experiments.lenet import PARAMETERS, Recipe, error, fit, lenet, num_parameters, trained
from experiments.mnist import Digits


@pytest.fixture
def digits():
    """Two classes that differ in where their pixels are lit."""
    images = torch.rand(200, 784, generator=Generator().manual_seed(0))
    labels = torch.arange(200) % 2
    images[labels == 1, :392] = 0
    return Digits(
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        source="noise",
    )


def test_the_network_has_its_known_size():
    assert num_parameters(lenet(seed=0)) == PARAMETERS == 266_610


def test_training_learns_and_repeats_from_its_seed(digits):
    recipe = Recipe(epochs=5, batch_size=20)
    first, second, other = (
        fit(lenet(seed=0), digits.train_images, digits.train_labels, recipe=recipe, seed=seed)
        for seed in (0, 0, 1)
    )
    assert error(first, digits.test_images, digits.test_labels) == 0.0
    assert torch.equal(first.fc1.weight, second.fc1.weight)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)


def test_a_trained_network_is_read_from_the_cache(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.lenet.CACHE", tmp_path)
    recipe = Recipe(epochs=1)
    first = trained(digits, seed=3, recipe=recipe)
    (path,) = tmp_path.iterdir()
    changed = path.stat().st_mtime_ns
    again = trained(digits, seed=3, recipe=recipe)
    assert torch.equal(first.model.fc2.weight, again.model.fc2.weight)
    assert again.seconds == pytest.approx(first.seconds, abs=0.06)
    assert path.stat().st_mtime_ns == changed


@pytest.mark.parametrize("method", SAMPLERS)
def test_a_cut_network_is_small_and_the_original_is_untouched(method):
    model = lenet(seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = cut(model, (27, 40), method=method, seed=0)
    assert small(torch.rand(3, 784)).shape == (3, 10)
    assert num_parameters(small) < 0.1 * PARAMETERS
    if method != "importance":
        assert (small.fc1.out_features, small.fc2.out_features) == (27, 40)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
