import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import gelu, prelu, relu
from coreprune.core.chain import Link, chain_bound
from coreprune.core.chain_range import preactivations
from coreprune.core.elementwise import affine, compose, identity
from coreprune.core.matching import injection, matched_stages, stages_along
from coreprune.core.query_set import ball, draw, queries

SPACE = ball(2.0, dimension=4)


def chain(*widths, activation=None, seed=0):
    generator = Generator().manual_seed(seed)
    return [
        Link(
            points=normal(n, d, generator=generator),
            bias=normal(n, generator=generator),
            activation=identity() if last else (activation or relu()),
        )
        for d, n, last in zip(
            widths, widths[1:], [False] * (len(widths) - 2) + [True], strict=False
        )
    ]


def cut(links, kept):
    first, second = links
    return [
        Link(points=first.points[kept], bias=first.bias[kept], activation=first.activation),
        Link(points=second.points[:, kept], bias=second.bias, activation=second.activation),
    ]


def test_equal_rows_find_each_other():
    links, kept = chain(4, 9, 2), torch.tensor([7, 0, 3])
    stages = matched_stages(links, cut(links, kept), SPACE, generator=Generator())
    assert stages[0].kept.tolist() == kept.tolist()


def test_twins_are_matched_to_two_neurons():
    links = chain(4, 6, 2)
    links[0].points[1], links[0].bias[1] = links[0].points[0], links[0].bias[0]
    stages = matched_stages(links, cut(links, torch.tensor([0, 1])), SPACE, generator=Generator())
    assert sorted(stages[0].kept.tolist()) == [0, 1]


def test_no_column_is_given_twice():
    found = injection(torch.rand(7, 9, generator=Generator().manual_seed(0)) * 0 + 1)
    assert sorted(found.tolist()) == sorted(set(found.tolist()))
    assert len(found) == 7


@pytest.mark.parametrize("seed", range(5))
def test_any_match_is_sound(seed):
    links, stranger = chain(4, 9, 6, 2), chain(4, 7, 5, 2, seed=9)
    generator = Generator().manual_seed(seed)
    kept = [torch.randperm(9, generator=generator)[:7], torch.randperm(6, generator=generator)[:5]]
    bound = chain_bound(stages_along(links, stranger, [*kept, torch.arange(2)]), SPACE, effort=0.0)
    x = queries(SPACE, draw(SPACE, 2000, generator=generator))
    for depth, rows in enumerate([*kept, torch.arange(2)]):
        z, other = (preactivations(one, x)[depth] for one in (links, stranger))
        assert ((z[:, rows] - other).abs().amax(0) <= bound.layers[depth]).all()


@pytest.mark.parametrize(
    "other",
    [chain(4, 10, 2), chain(4, 5, 5, 2), chain(4, 5, 2, activation=gelu()),
     chain(4, 5, 2, activation=prelu(torch.linspace(0.1, 0.5, 5)))],
    ids=["wider", "deeper", "another function", "other slopes"],
)  # fmt: skip
def test_where_there_is_no_match_there_is_none(other):
    assert matched_stages(chain(4, 9, 2), other, SPACE, generator=Generator()) is None


def test_slopes_of_their_own_go_with_the_neurons():
    slopes = torch.linspace(0.1, 0.9, 9)
    links, kept = chain(4, 9, 2, activation=prelu(slopes)), torch.tensor([2, 5])
    small = cut(links, kept)
    small[0] = Link(points=small[0].points, bias=small[0].bias, activation=prelu(slopes[kept]))
    assert matched_stages(links, small, SPACE, generator=Generator()) is not None


@pytest.mark.parametrize("kept", [range(1, 64), range(47), range(3, 40), range(13)])
def test_an_activation_that_rounds_otherwise_in_another_place_is_the_same(kept):
    wide = chain(4, 64, 2, activation=compose(gelu(), affine(0.7, 0.1)))
    chosen = torch.tensor(list(kept))
    assert stages_along(wide, cut(wide, chosen), [chosen, torch.arange(2)]) is not None


def test_a_slope_that_differs_in_its_last_digits_is_another():
    wide = chain(4, 9, 2, activation=prelu(torch.full((9,), 0.25, dtype=torch.float64)))
    other = chain(4, 9, 2, activation=prelu(torch.full((9,), 0.25 + 1e-13, dtype=torch.float64)))
    assert stages_along(wide, other, [torch.arange(9), torch.arange(2)]) is None
