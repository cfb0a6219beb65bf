from dataclasses import replace

import pytest
import torch
from gated import coreset, cut_to, kinds, random_block
from torch import Generator

from coreprune.core.coreset import METHODS
from coreprune.core.feed_forward import outputs
from coreprune.core.feed_forward_certificate import block_certificate
from coreprune.core.query_set import ball


@kinds
@pytest.mark.parametrize("method", METHODS)
def test_certificates_cover_what_is_seen(gated, biased, method):
    block = random_block(gated=gated, biased=biased)
    chosen = coreset(block, method=method)
    cut = cut_to(block, chosen)
    space = ball(2.0, dimension=6)
    found = block_certificate(block, indices=chosen.subset.indices, cut=cut, space=space)
    x = torch.randn(20_000, 6, dtype=torch.float64, generator=Generator().manual_seed(1))
    x = 2 * x / x.norm(dim=1, keepdim=True)
    lost = outputs(block, x) - outputs(cut, x)
    assert (found.bound >= lost.abs().amax(0)).all()
    assert found.norm >= float(lost.norm(dim=1).max())


@pytest.mark.parametrize("gated", [False, True])
def test_a_bias_that_moved_counts(gated):
    block = random_block(gated=gated, biased=True)
    moved = replace(block, offset=block.offset + torch.arange(4))
    found = block_certificate(
        block, indices=torch.arange(20), cut=moved, space=ball(2.0, dimension=6)
    )
    torch.testing.assert_close(found.bound, torch.arange(4).double(), rtol=0, atol=1e-9)
    assert found.norm == pytest.approx(14**0.5)
