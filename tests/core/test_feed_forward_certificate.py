from dataclasses import replace

import pytest
import torch
from gated import coreset, cut_to, kinds, random_block
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.coreset import METHODS
from coreprune.core.feed_forward import FeedForward, outputs
from coreprune.core.feed_forward_certificate import block_certificate, trained_certificate
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


def trained_block(block, *, gated, moved):
    """A cut block and one whose neurons training moved by so much, with the neurons kept."""
    chosen = coreset(block, method="optimal")
    cut, generator = cut_to(block, chosen), Generator().manual_seed(3)

    def shifted(tensor):
        noise = torch.randn(tensor.shape, dtype=torch.float64, generator=generator)
        return tensor + moved * noise

    changed = {name: shifted(getattr(cut, name)) for name in ("points", "bias", "weights")}
    if gated:
        changed["up"] = shifted(cut.up)
    return chosen.subset.indices, cut, replace(cut, **changed)


@kinds
@pytest.mark.parametrize("moved", [0.0, 0.01, 0.3])
def test_certificates_cover_trained_neurons(gated, biased, moved):
    block = random_block(gated=gated, biased=biased)
    indices, _, trained = trained_block(block, gated=gated, moved=moved)
    space = ball(2.0, dimension=6)
    found = trained_certificate(block, indices=indices, trained=trained, space=space)
    x = torch.randn(20_000, 6, dtype=torch.float64, generator=Generator().manual_seed(1))
    x = 2 * x / x.norm(dim=1, keepdim=True)
    lost = outputs(block, x) - outputs(trained, x)
    assert (found.bound >= lost.abs().amax(0)).all()
    assert found.norm >= float(lost.norm(dim=1).max())


def test_a_little_training_costs_a_little_of_the_certificate():
    block, space = random_block(gated=False, biased=True), ball(2.0, dimension=6)
    indices, cut, trained = trained_block(block, gated=False, moved=1e-3)
    before = block_certificate(block, indices=indices, cut=cut, space=space)
    after = trained_certificate(block, indices=indices, trained=trained, space=space)
    assert (after.bound <= before.bound + 0.1).all()


def test_a_trained_neuron_that_moved_alone_is_covered_tightly():
    """One neuron max(z, 0) that became max(2z, 0): on the ball of radius 1 off by 1."""
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    block = FeedForward(points=one, bias=none, activation=relu(), weights=one, offset=none)
    trained = replace(block, points=2 * one)
    found = trained_certificate(
        block, indices=torch.tensor([0]), trained=trained, space=ball(1.0, dimension=1)
    )
    assert 1 <= found.bound.item() <= 1 + 1e-9


def test_a_trained_neuron_that_changed_its_sign_counts_twice():
    """One neuron max(z, 0) read with 1 that is read with −1: on the ball of radius 1 off by 2."""
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    block = FeedForward(points=one, bias=none, activation=relu(), weights=one, offset=none)
    found = trained_certificate(
        block,
        indices=torch.tensor([0]),
        trained=replace(block, weights=-one),
        space=ball(1.0, dimension=1),
    )
    assert 2 <= found.bound.item() <= 2 + 1e-9
