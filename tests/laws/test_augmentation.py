"""Queries that are never twice alike."""

import itertools

import torch

from coreprune.laws.augmentation import augmented


def test_it_mirrors_and_moves_queries_and_pastes_pieces_of_others():
    places = torch.arange(600.0)
    x = 1000 * torch.arange(6.0)[:, None, None, None] + places.view(1, 1, 20, 30)
    seen = torch.cat(
        list(itertools.islice(augmented(x, 6, generator=torch.Generator().manual_seed(1)), 50))
    )
    origins = (seen // 1000).flatten(1)
    own = origins.mode(1).values
    pasted = (origins != own[:, None]).float().mean(1)
    assert 0.4 < (pasted > 0).float().mean() < 0.6
    assert 0.15 < pasted[pasted > 0].mean() < 0.35
    assert ((origins != own[:, None]).sum(1) == 0).any()
    whole = seen[pasted == 0]
    for one in whole[:20]:
        assert torch.equal((one % 1000).flatten().sort().values, places)
    still = sum(torch.equal(one % 1000, x[0]) for one in whole)
    assert still < len(whole) / 5


def test_queries_without_positions_are_mixed_alone():
    flat = torch.randn(5, 7)
    batch = next(augmented(flat, 5, generator=torch.Generator()))
    assert torch.equal(batch.sort(0).values, flat.sort(0).values)


def test_few_queries_fill_a_batch():
    x = torch.arange(3.0)[:, None]
    (batch,) = itertools.islice(augmented(x, 7, generator=torch.Generator().manual_seed(0)), 1)
    assert sorted(batch.flatten().unique(return_counts=True)[1].tolist()) == [2, 2, 3]
