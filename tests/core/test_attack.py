import pytest
import torch
from certified import grid, piecewise_linear_supremum, random_space, random_sums
from torch import Generator

from coreprune.core.activations import relu, step
from coreprune.core.attack import Ascent, attack, attack_function
from coreprune.core.neuron_sums import Block, evaluate, neuron_sums
from coreprune.core.query_set import ball, box, queries
from coreprune.errors import ArgumentError


@pytest.mark.parametrize("kind", ["ball", "moved ball", "ellipsoid", "box", "point"])
def test_it_finds_what_a_fine_grid_finds(kind):
    generator = Generator().manual_seed(0)
    sums = random_sums(relu(), d=2, n=4, generator=generator)
    space = random_space(kind, d=2, size=2.0, generator=generator)
    peak = evaluate(sums, queries(space, grid(space, 201))).abs().amax(0)
    found = attack(sums, space, generator=generator)
    assert (found.values >= 0.99 * peak).all()
    at = evaluate(sums, found.queries).abs().diagonal()
    torch.testing.assert_close(at, found.values, rtol=1e-12, atol=1e-12)


def test_its_queries_are_inside():
    generator = Generator().manual_seed(0)
    sums = random_sums(relu(), d=5, n=6, generator=generator)
    found = attack(sums, ball(2.0, dimension=5), generator=generator)
    assert (found.queries.norm(dim=1) <= 2 * (1 + 1e-12)).all()
    square = box(-torch.ones(5), 2 * torch.ones(5))
    inside = attack(sums, square, generator=generator).queries
    assert ((inside >= -1 - 1e-12) & (inside <= 2 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(5))
def test_it_reaches_the_exact_supremum_of_piecewise_linear_sums(seed):
    generator = Generator().manual_seed(seed)
    sums = random_sums(relu(), d=2, n=4, generator=generator)
    space = random_space("box", d=2, size=2.0, generator=generator)
    exact = piecewise_linear_supremum(sums, space)
    found = attack(sums, space, generator=generator).values
    assert (found <= exact * (1 + 1e-9)).all()
    assert (found >= 0.98 * exact).all()


def test_the_generator_decides_everything():
    sums = random_sums(relu(), d=3, n=4, generator=Generator().manual_seed(0))
    space = ball(1.0, dimension=3)
    few = Ascent(restarts=2, steps=3)
    runs = [
        attack(sums, space, ascent=few, generator=Generator().manual_seed(seed)).values
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_a_function_is_attacked_like_the_sums_it_computes():
    sums = random_sums(relu(), d=3, n=4, generator=Generator().manual_seed(0))
    space = ball(1.5, dimension=3)
    own = attack(sums, space, generator=Generator().manual_seed(0)).values
    general = attack_function(
        lambda x: evaluate(sums, x), space, num_outputs=2, generator=Generator().manual_seed(0)
    )
    torch.testing.assert_close(general.values, own, rtol=0.02, atol=0)


def test_what_has_no_slope_is_sampled():
    block = Block(
        points=torch.ones(1, 1), bias=torch.zeros(1), activation=step(), weights=torch.ones(1, 1)
    )
    sums = neuron_sums([block], torch.zeros(1))
    assert attack(sums, ball(1.0, dimension=1), generator=Generator()).values.item() == 1.0


def test_a_function_of_steps_alone_is_sampled():
    found = attack_function(
        lambda x: (x > 0).to(x), ball(1.0, dimension=2), num_outputs=2, generator=Generator()
    )
    assert found.values.tolist() == [1.0, 1.0]


def test_it_must_try():
    sums = random_sums(relu(), d=3, n=4, generator=Generator())
    with pytest.raises(ArgumentError, match="restarts and steps must be at least 1, got 0 and 5"):
        attack(
            sums,
            ball(1.0, dimension=3),
            ascent=Ascent(restarts=0, steps=5),
            generator=Generator(),
        )
