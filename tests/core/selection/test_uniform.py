import itertools

import torch
from asserts import factors_of, hoeffding_radius
from torch import Generator

from coreprune.core.selection.uniform import uniform


def test_every_weight_grows_by_n_over_m():
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    subset = uniform(weights, num_neurons=3, generator=Generator().manual_seed(0))
    torch.testing.assert_close(subset.weights, weights[:, subset.indices] * 4 / 3)


def test_every_pair_is_as_likely():
    """Frequencies of the 6 pairs of 4 within Hoeffding's radius; false alarm below 6 · 1e-9."""
    generator, found = (
        Generator().manual_seed(1),
        dict.fromkeys(itertools.combinations(range(4), 2), 0),
    )
    for _ in range(3000):
        subset = uniform(torch.ones(1, 4), num_neurons=2, generator=generator)
        found[tuple(subset.indices.tolist())] += 1
    assert all(abs(count / 3000 - 1 / 6) <= hoeffding_radius(3000) for count in found.values())


def test_the_estimate_is_unbiased_over_all_subsets():
    """All subsets being as likely, the mean over one of each is the expectation."""
    weights, seen = torch.ones(1, 4, dtype=torch.float64), {}
    for seed in range(100):
        subset = uniform(weights, num_neurons=3, generator=Generator().manual_seed(seed))
        seen[tuple(subset.indices.tolist())] = factors_of(subset, weights)
    assert len(seen) == 4
    torch.testing.assert_close(sum(seen.values()) / 4, torch.ones(4).double())
