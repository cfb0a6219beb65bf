"""Bounds over patterns of taps against brute force over the patterns and attacks."""

import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import gelu, relu, sigmoid
from coreprune.core.attack import Ascent, attack
from coreprune.core.elementwise import identity
from coreprune.core.neuron_sums import Block, neuron_sums
from coreprune.core.query_set import ball
from coreprune.core.tap_sums import joint_bounds, restricted, separate_bounds

PATTERNS = torch.tensor([[True, True, True], [False, True, True], [True, False, False]])
NONE = torch.zeros(1, 3, dtype=torch.bool)


def random_taps(activation, seed):
    generator = Generator().manual_seed(seed)
    return [
        neuron_sums(
            [
                Block(
                    points=normal(4, 6, generator=generator),
                    bias=normal(4, generator=generator),
                    activation=activation,
                    weights=normal(2, 4, generator=generator),
                )
            ],
            normal(2, generator=generator),
        )
        for _ in range(3)
    ]


@pytest.mark.parametrize("effort", [0.0, None])
@pytest.mark.parametrize("activation", [relu(), gelu(), sigmoid()], ids=lambda a: a.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_query_beats_a_bound_of_any_pattern(activation, seed, effort):
    taps, offsets = random_taps(activation, seed), torch.tensor([0.5, -1.0])
    space = ball(1.5, dimension=6)
    found = joint_bounds(taps, space, patterns=PATTERNS, offsets=offsets, effort=effort)
    for pattern, bound in zip(PATTERNS, found, strict=True):
        sums = restricted(taps, pattern, offsets)
        reached = attack(
            sums, space, ascent=Ascent(restarts=3, steps=40), generator=Generator().manual_seed(0)
        )
        assert (reached.values <= bound).all()
        assert (reached.values > 0.3 * bound).all()


def test_linear_sums_are_bounded_exactly_and_taps_outside_add_nothing():
    taps, offsets = random_taps(identity(), 3), torch.tensor([0.5, -1.0]).double()
    found = joint_bounds(taps, ball(2.0, dimension=6), patterns=PATTERNS, offsets=offsets)
    for pattern, bound in zip(PATTERNS.tolist(), found, strict=True):
        line, constant = torch.zeros(2, 6).double(), offsets.clone()
        for tap, inside in zip(taps, pattern, strict=True):
            if inside:
                (block,) = tap.blocks
                line += block.weights @ block.points
                constant += block.weights @ block.bias + tap.offsets
        torch.testing.assert_close(bound, constant.abs() + 2 * line.norm(dim=1))


def test_with_no_tap_inside_the_offset_is_left():
    offsets = torch.tensor([0.5, -1.0])
    taps, space = random_taps(relu(), 0), ball(1.0, dimension=6)
    assert joint_bounds(taps, space, patterns=NONE, offsets=offsets).tolist() == [[0.5, 1.0]]
    ends = torch.tensor([[-9.0] * 3] * 2), torch.tensor([[9.0] * 3] * 2)
    found = separate_bounds(*ends, patterns=NONE, offsets=offsets)
    torch.testing.assert_close(found, torch.tensor([[0.5, 1.0]]).double())


def test_bounds_tap_by_tap_are_added_with_their_signs():
    lower, upper = torch.tensor([[-1.0, 0.0, -5.0]]), torch.tensor([[2.0, 3.0, -4.0]])
    found = separate_bounds(lower, upper, patterns=PATTERNS, offsets=torch.tensor([1.0]))
    assert found[:, 0].tolist() == pytest.approx([5.0, 4.0, 3.0])
    assert (found >= torch.tensor([[5.0], [4.0], [3.0]])).all()
