import itertools
from dataclasses import replace

import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import relu
from coreprune.core.chain import Link
from coreprune.core.chain_range import chain_range, preactivations
from coreprune.core.decisions import decided
from coreprune.core.elementwise import identity
from coreprune.core.query_set import ball, draw, queries


def chain(*, seed=0, width=10):
    generator = Generator().manual_seed(seed)
    return [
        Link(points=normal(width, 3, generator=generator), bias=normal(width, generator=generator),
             activation=relu()),
        Link(points=normal(4, width, generator=generator), bias=normal(4, generator=generator),
             activation=identity()),
    ]  # fmt: skip


def near(links, size):
    last = links[-1]
    noise = normal(*last.points.shape, generator=Generator().manual_seed(1))
    return [*links[:-1], replace(last, points=last.points + size * noise)]


def longer(links):
    """The same function with a layer more, of which no layer's neurons stand for the other's."""
    width = len(links[0].points)
    more = Link(points=torch.eye(width), bias=torch.zeros(width), activation=relu())
    return [links[0], more, links[1]]


SAMPLES = normal(40, 3, generator=Generator().manual_seed(3))


@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(
    "other",
    [
        near(chain(), 0.05),
        near(chain(), 0.5),
        chain(seed=4, width=6),
        longer(chain()),
        longer(near(chain(), 0.5)),
    ],
)
def test_around_a_decided_sample_no_query_changes_class(radius, other):
    links = chain()
    flags = decided(links, other, SAMPLES, radius=radius, generator=Generator())
    generator = Generator().manual_seed(0)
    for x in SAMPLES[flags]:
        space = ball(radius, centre=x)
        around = queries(space, draw(space, 500, generator=generator))
        classes = [preactivations(one, around)[-1].argmax(1) for one in (links, other)]
        assert torch.equal(*classes)
        assert len(classes[0].unique()) == 1


def test_a_network_decides_with_itself_wherever_it_has_no_tie():
    assert decided(chain(), chain(), SAMPLES, radius=0.0, generator=Generator()).all()


def test_samples_themselves_are_decided_where_margins_exceed_changes():
    links, other = chain(), near(chain(), 0.02)
    flags = decided(links, other, SAMPLES, radius=0.0, generator=Generator())
    pair = [preactivations(one, SAMPLES)[-1] for one in (links, other)]
    same = pair[0].argmax(1) == pair[1].argmax(1)
    assert not (flags & ~same).any()
    assert flags.sum() >= same.sum() - 2


def test_a_range_holds_every_output_and_is_not_far():
    space = ball(1.0, dimension=3)
    low, high = chain_range(chain(), space)
    found = preactivations(chain(), queries(space, draw(space, 5000, generator=Generator())))[-1]
    assert (found.amin(0) >= low).all()
    assert (found.amax(0) <= high).all()
    assert ((high - low) < 3 * (found.amax(0) - found.amin(0))).all()


@pytest.mark.parametrize(("margin", "decides"), [(1e-6, False), (1e-3, True)])
@pytest.mark.parametrize(
    "precisions",
    [
        (torch.float32, torch.float32),
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
    ],
    ids=["both", "original", "pruned"],
)
def test_a_margin_that_rounding_may_close_is_not_decided(margin, decides, precisions):
    links = chain()
    last, x = links[-1], SAMPLES[:1]
    z = preactivations(links, x)[-1][0]
    bias = last.bias - z + torch.tensor([0.0, margin, 0.0, 0.0])
    links = [links[0], replace(last, bias=bias)]
    common = {"radius": 0.0, "generator": Generator()}
    assert decided(links, links, x, **common).all()
    assert decided(links, links, x, precisions=precisions, **common).all() == decides


DEEP = normal(8, 4, generator=Generator().manual_seed(8))


def deep(links):
    """A second layer behind, so that errors pass through two."""
    hidden = replace(links[-1], activation=relu())
    bias = normal(8, generator=Generator().manual_seed(9))
    return [links[0], hidden, Link(points=DEEP, bias=bias, activation=identity())]


@pytest.mark.parametrize("grown", [list, deep])
@pytest.mark.parametrize("other", [near(chain(), 0.5), chain(seed=4, width=6), chain(seed=5)])
def test_without_a_radius_a_sample_is_decided_where_both_give_its_class(grown, other):
    links, other = grown(chain()), grown(other)
    shares = [
        decided(links, other, SAMPLES, radius=radius, generator=Generator())
        for radius in (0.0, 0.01, 0.1, 1.0)
    ]
    pair = [preactivations(one, SAMPLES)[-1] for one in (links, other)]
    assert 0 < shares[0].sum() < len(SAMPLES)
    assert torch.equal(shares[0], pair[0].argmax(1) == pair[1].argmax(1))
    assert all((wide <= close).all() for close, wide in itertools.pairwise(shares))
