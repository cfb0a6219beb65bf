"""Chains that run in a short precision, in any order of their sums, stay within the bound."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from certified import normal
from torch import Generator

from coreprune.core.activations import gelu, hardswish, relu, sigmoid, step, tanh
from coreprune.core.chain import Link
from coreprune.core.chain_range import preactivations
from coreprune.core.chain_rounding import chain_rounding
from coreprune.core.elementwise import affine, compose, identity
from coreprune.core.query_set import ball, box, draw, queries

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
FAMILY = [
    relu(),
    gelu(),
    tanh(),
    sigmoid(),
    hardswish(),
    compose(relu(), affine(30.0, -20.0), tanh()),
]


def chain(widths, activation, *, dtype, seed=0):
    generator = Generator().manual_seed(seed)
    links = []
    for number, (d, n) in enumerate(itertools.pairwise(widths)):
        points = (normal(n, d, generator=generator) / d**0.5).to(dtype)
        bias = normal(n, generator=generator).to(dtype)
        last = number == len(widths) - 2
        links.append(Link(points=points, bias=bias, activation=identity() if last else activation))
    return links


def as_library(points, bias, h):
    return torch.nn.functional.linear(h, points, bias)


def one_by_one(points, bias, h):
    """Every product and every partial sum rounded, the bias first."""
    total = bias.expand(len(h), -1)
    for column in range(points.shape[1]):
        total = total + h[:, column : column + 1] * points[:, column]
    return total


def evaluated(links, x, linear):
    """Every z_l in the dtype of x. The links are stored in it."""
    found = []
    for link in links:
        found.append(linear(link.points, link.bias, x))
        x = link.activation(found[-1])
    return found


def inside(space, dtype, *, count=400):
    """Queries of the space that the dtype represents, none moved out of it by rounding."""
    v = draw(space, count, generator=Generator().manual_seed(1))
    return queries(space, v * 0.98).to(dtype)


@pytest.mark.parametrize("linear", [as_library, one_by_one])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", FAMILY, ids=lambda one: one.name)
@pytest.mark.parametrize("widths", [(6, 9, 3), (6, 9, 8, 3), (4, 8, 7, 6, 2)], ids=str)
def test_no_layer_is_off_by_more(widths, activation, dtype, linear):
    for space in (
        ball(3.0, dimension=widths[0]),
        box(-torch.ones(widths[0]), torch.ones(widths[0])),
    ):
        links = chain(widths, activation, dtype=dtype)
        x = inside(space, dtype)
        found = chain_rounding(links, space, dtype=dtype)
        exact = preactivations(links, x.double())
        short = evaluated(links, x, linear)
        for bound, one, other in zip(found.layers, short, exact, strict=True):
            error = (one.double() - other).abs().amax(0)
            assert (error <= bound).all()
            assert error.max() > 0
        assert torch.equal(found.outputs, found.layers[-1])


def test_a_hundredth_of_the_bound_is_beaten_by_a_wide_sum():
    # Of equal terms, one by one: rounding goes the same way for long.
    points, bias = torch.ones(1, 2000), torch.zeros(1)
    links, x = [Link(points=points, bias=bias, activation=identity())], torch.full((1, 2000), 0.7)
    error = (evaluated(links, x, one_by_one)[0].double() - 2000 * x[0, 0].double()).abs().item()
    space = box(torch.zeros(2000), torch.full((2000,), 0.7))
    bound = chain_rounding(links, space, dtype=torch.float32).outputs.item()
    assert bound / 100 < error <= bound


def test_one_layer_worked_by_hand():
    link = Link(points=torch.tensor([[3.0, -4.0]]), bias=torch.tensor([2.0]), activation=relu())
    u = 2.0**-8
    found = chain_rounding([link], ball(2.0, dimension=2), dtype=torch.bfloat16)
    assert found.outputs.item() == pytest.approx(3 * u / (1 - 3 * u) * (5 * 2 + 2), rel=1e-9)


def test_the_second_layer_passes_the_error_of_the_first_on():
    first = Link(points=torch.eye(2), bias=torch.zeros(2), activation=identity())
    last = Link(points=torch.tensor([[3.0, -4.0]]), bias=torch.zeros(1), activation=identity())
    u = 2.0**-24
    found = chain_rounding([first, last], ball(1.0, dimension=2), dtype=torch.float32)
    passed = 3 * u * (3 + 4)
    norm = 5 * (3 * u) * 2**0.5
    own = 3 * u * 5
    assert found.layers[0].tolist() == pytest.approx([3 * u] * 2, rel=1e-6)
    assert found.outputs.item() == pytest.approx(own + min(passed, norm), rel=1e-5)


@pytest.mark.parametrize("ending", [sigmoid(), gelu(), compose(affine(100.0, -3.0), tanh())],
    ids=lambda one: one.name)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_last_activation_rounds_too(ending, dtype):
    links, space = chain((5, 12, 3), relu(), dtype=dtype), ball(2.0, dimension=5)
    x = inside(space, dtype)
    found = chain_rounding(links, space, dtype=dtype, ending=ending)
    exact = ending(preactivations(links, x.double())[-1])
    short = ending(evaluated(links, x, one_by_one)[-1])
    error = (short.double() - exact).abs().amax(0)
    assert (error <= found.outputs).all()
    assert not torch.equal(found.outputs, found.layers[-1])


def test_a_step_that_may_flip_pays_for_its_jump_and_the_next_layer_for_all_of_it():
    links = [
        Link(points=torch.ones(1, 1), bias=torch.zeros(1), activation=step()),
        Link(points=torch.full((1, 1), -7.0), bias=torch.zeros(1), activation=identity()),
    ]
    found = chain_rounding(links, ball(1.0, dimension=1), dtype=torch.float32)
    assert 7.0 <= found.outputs.item() < 7.001


def test_what_was_folded_into_a_bias_and_cancels_there_still_rounds():
    # (h + 1e4) − 1e4 as a normalisation with a large running mean computes it.
    space = ball(1.0, dimension=3)
    link = Link(points=torch.eye(3), bias=torch.zeros(3), activation=identity())
    folded = replace(link, bias_size=torch.full((3,), 2e4), roundings=2)
    x = inside(space, torch.float32)
    error = ((x + 1e4) - 1e4 - x).abs().amax(0)
    plain, wide = (
        chain_rounding([one], space, dtype=torch.float32).outputs for one in (link, folded)
    )
    assert (plain < error).all()
    assert (error <= wide).all()


def test_an_addend_that_cancels_inside_an_activation_still_rounds():
    space = ball(1.0, dimension=3)
    plain = compose(affine(1.0, 0.0), tanh())
    line = replace(affine(1.0, 0.0), addends=2e4)
    first = Link(points=torch.eye(3), bias=torch.zeros(3), activation=plain)
    last = Link(points=torch.eye(3), bias=torch.zeros(3), activation=identity())
    x = inside(space, torch.float32)
    error = (torch.tanh((x + 1e4) - 1e4) - torch.tanh(x)).abs().amax(0)
    narrow, wide = (
        chain_rounding([replace(first, activation=one), last], space, dtype=torch.float32).outputs
        for one in (plain, compose(line, tanh()))
    )
    assert (narrow < error).all()
    assert (error <= wide).all()


def test_sums_too_long_for_their_precision_have_no_bound():
    links, space = chain((300, 8, 2), relu(), dtype=torch.bfloat16), ball(1.0, dimension=300)
    assert chain_rounding(links, space, dtype=torch.bfloat16).outputs.isinf().all()
    assert chain_rounding(links, space, dtype=torch.float32).outputs.isfinite().all()


def test_what_may_overflow_has_no_bound():
    link = Link(points=torch.full((1, 1), 100.0), bias=torch.zeros(1), activation=relu())
    for radius, finite in ((600.0, True), (700.0, False)):
        found = chain_rounding([link], ball(radius, dimension=1), dtype=torch.float16)
        assert math.isfinite(found.outputs.item()) == finite


@pytest.mark.parametrize("ending", [relu(), sigmoid()], ids=lambda one: one.name)
def test_a_bound_that_is_infinite_stays_so_behind_the_last_activation(ending):
    links, space = chain((300, 8, 2), relu(), dtype=torch.bfloat16), ball(1.0, dimension=300)
    found = chain_rounding(links, space, dtype=torch.bfloat16, ending=ending)
    assert found.outputs.isinf().all()


def test_what_may_overflow_inside_an_activation_has_no_bound():
    # 100 · 1,000 is more than float16 holds, and 100 · 1,000 / 1,000 less.
    points, bias = torch.full((1, 1), 100.0), torch.zeros(1)
    last = Link(points=torch.ones(1, 1), bias=bias, activation=identity())
    for largest, finite in ((600.0, True), (1000.0, False)):
        lines = compose(affine(largest, 0.0), affine(1 / largest, 0.0))
        links = [Link(points=points, bias=bias, activation=lines), last]
        found = chain_rounding(links, ball(1.0, dimension=1), dtype=torch.float16)
        assert math.isfinite(found.outputs.item()) == finite
        ended = chain_rounding(links[:1], ball(1.0, dimension=1), dtype=torch.float16, ending=lines)
        assert math.isfinite(ended.outputs.item()) == finite


def test_what_may_overflow_on_the_way_to_a_folded_layer_has_no_bound():
    points, bias = torch.ones(1, 1), torch.zeros(1)
    for largest, finite in ((60_000.0, True), (70_000.0, False)):
        way = Link(points=largest * points, bias=bias, activation=identity())
        link = Link(points=points, bias=bias, activation=identity(), inside=(way,))
        found = chain_rounding([link], ball(1.0, dimension=1), dtype=torch.float16)
        assert math.isfinite(found.outputs.item()) == finite
