from types import SimpleNamespace

import pytest
import torch

from experiments.lenet import lenet
from experiments.mnist import Digits
from experiments.one_neuron import trained
from experiments.one_neuron.truncated_svd import affordable_rank, truncated_svd_error
from experiments.random_layers import gaussian, random_layer
from experiments.worst_query import Search

SEARCH = Search(queries=20, restarts=2, steps=5)


@pytest.mark.parametrize("m", [1, 40, 299])
@pytest.mark.parametrize(("n", "d"), [(1000, 32), (300, 784)])
def test_the_rank_is_the_largest_whose_factors_cost_no_more(m, n, d):
    rank = affordable_rank(m, layer_width=n, dimension=d)
    assert rank * (n + d) <= m * (d + 1)
    assert (rank + 1) * (n + d) > m * (d + 1)


def test_the_rank_never_exceeds_the_matrix():
    assert affordable_rank(100, layer_width=100, dimension=1) == 1
    assert affordable_rank(10, layer_width=10, dimension=1000) == 9


def test_full_rank_leaves_no_error_and_rank_zero_leaves_the_output_itself():
    layer = random_layer(gaussian, n=40, d=2, seed=0)
    rank, worst, mean = truncated_svd_error(layer, 40, search=SEARCH, seed=0)
    assert (rank, worst, mean) == (2, pytest.approx(0, abs=1e-5), pytest.approx(0, abs=1e-5))
    rank, worst, _ = truncated_svd_error(layer, 1, search=SEARCH, seed=0)
    assert rank == 0
    assert worst > 1


def test_the_norm_of_a_digit_comes_from_the_images_trained_on(monkeypatch):
    digits = Digits(
        train_images=torch.full((3, 784), 0.5),
        train_labels=torch.zeros(3, dtype=torch.long),
        test_images=torch.zeros(2, 784),
        test_labels=torch.zeros(2, dtype=torch.long),
        source="grey",
    )
    monkeypatch.setattr(trained.mnist, "load", lambda **_: digits)
    monkeypatch.setattr(
        trained.lenet, "trained", lambda *_, **__: SimpleNamespace(model=lenet(seed=0))
    )
    layers, norm, source = trained.trained_layers(seeds=range(2), quick=True)
    assert (len(layers), norm, source) == (2, pytest.approx(14.0), "grey")
