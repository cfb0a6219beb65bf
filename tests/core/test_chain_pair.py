import itertools

import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import relu, tanh
from coreprune.core.chain import Link
from coreprune.core.chain_attack import hidden_attack, output_attack
from coreprune.core.chain_pair import apart, pair_bound
from coreprune.core.chain_range import preactivations
from coreprune.core.elementwise import identity
from coreprune.core.query_set import ball, draw, queries


def chain(*widths, seed=0, activation=None):
    generator = Generator().manual_seed(seed)
    hidden = activation or relu()
    layers = [
        Link(
            points=normal(n, d, generator=generator) / d**0.5,
            bias=0.3 * normal(n, generator=generator),
            activation=hidden,
        )
        for d, n in itertools.pairwise(widths[:-1])
    ]
    last = normal(widths[-1], widths[-2], generator=generator)
    bias = normal(widths[-1], generator=generator)
    return [*layers, Link(points=last, bias=bias, activation=identity())]


ORIGINAL, SPACE = chain(3, 8, 2), ball(1.5, dimension=3)
DEEP = chain(3, 8, 6, 2)
PAIRS = {
    "equal": (ORIGINAL, chain(3, 8, 2)),
    "narrower": (ORIGINAL, chain(3, 5, 2, seed=1)),
    "wider": (chain(3, 5, 2, seed=1), ORIGINAL),
    "deeper": (ORIGINAL, DEEP),
    "both deep": (DEEP, chain(3, 7, 5, 2, seed=2)),
    "another activation": (ORIGINAL, chain(3, 8, 2, activation=tanh())),
    "another activation, deep": (DEEP, chain(3, 8, 6, 2, activation=tanh())),
    "only the end moved": (ORIGINAL, [ORIGINAL[0], chain(3, 8, 2, seed=3)[1]]),
}
UNMATCHED = {"deeper", "another activation", "another activation, deep"}


@pytest.mark.parametrize("name", PAIRS)
def test_no_attack_reaches_further_than_the_bound(name):
    original, other = PAIRS[name]
    found = pair_bound(original, other, SPACE, effort=0.0, generator=Generator())
    reached = output_attack(original, other, SPACE, generator=Generator())
    assert (reached.values <= found.bound).all()
    z = preactivations(original, queries(SPACE, draw(SPACE, 500, generator=Generator())))[-1]
    assert (z >= found.low).all()
    assert (z <= found.high).all()


@pytest.mark.parametrize("name", PAIRS)
def test_layers_are_bounded_where_neurons_stand_for_each_other(name):
    original, other = PAIRS[name]
    found = pair_bound(original, other, SPACE, effort=0.0, generator=Generator())
    if name in UNMATCHED:
        assert found.layers is None
        assert found.match is None
        return
    assert torch.equal(found.layers[-1], found.bound)
    for depth, (rows, bounds) in enumerate(zip(found.match, found.layers, strict=True), start=1):
        change = hidden_attack(
            original[:depth], other[:depth], SPACE, rows=rows, generator=Generator()
        )
        assert change <= bounds.amax()


def test_equal_chains_are_at_distance_zero():
    found = pair_bound(*PAIRS["equal"], SPACE, generator=Generator())
    assert (found.bound < 1e-9).all()


def test_two_layers_that_do_not_match_are_bounded_by_their_difference():
    # ReLU(x) − x = ReLU(−x) ≤ 1, where the ranges [0, 1] and [−1, 1] alone give 2.
    one = torch.ones(1, 1)
    end = Link(points=one, bias=torch.zeros(1), activation=identity())
    bent, straight = (
        [Link(points=one, bias=torch.zeros(1), activation=phi), end] for phi in (relu(), identity())
    )
    found = pair_bound(bent, straight, ball(1.0, dimension=1), generator=Generator())
    assert found.match is None
    assert found.bound.item() == pytest.approx(1.0)


def test_intervals_are_as_far_apart_as_their_outer_ends():
    low, high = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
    other_low, other_high = torch.tensor([-3.0, 0.0]), torch.tensor([2.0, 0.0])
    assert apart((low, high), (other_low, other_high)).tolist() == [4.0, 0.0]
