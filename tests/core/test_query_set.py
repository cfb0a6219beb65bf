import pytest
import torch
from certified import normal, random_space
from torch import Generator

from coreprune.core.query_set import (
    absolute_reach,
    box,
    draw,
    inside,
    pulled_back,
    queries,
    reach,
)

KINDS = ["ball", "moved ball", "ellipsoid", "box", "point"]


@pytest.mark.parametrize("kind", KINDS)
def test_reaches_bound_every_query(kind):
    generator = Generator().manual_seed(0)
    points, bias = normal(6, 4, generator=generator), normal(6, generator=generator)
    space = random_space(kind, d=4, size=2.0, generator=generator)
    v = draw(space, 2000, generator=generator)
    x = queries(space, v)
    rows, shift = pulled_back(points, bias, space)
    torch.testing.assert_close(v @ rows.T + shift, x @ points.T + bias)
    assert ((v @ rows.T).abs() <= reach(rows, space) + 1e-12).all()
    sizes = x.abs() @ points.abs().T
    assert (sizes <= absolute_reach(points, space) + 1e-12).all()
    assert (absolute_reach(points, space) <= 4 * sizes.amax(0) + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_point_inside_is_inside_and_stays(kind):
    generator = Generator().manual_seed(0)
    space = random_space(kind, d=4, size=2.0, generator=generator)
    v = inside(3 * normal(500, 4, generator=generator), space)
    order = 2 if space.unit == "ball" else torch.inf
    assert (torch.linalg.vector_norm(v, ord=order, dim=1) <= 1 + 1e-12).all()
    torch.testing.assert_close(inside(v, space), v)


def test_the_ends_of_a_box_are_inside():
    low, high = torch.tensor([0.1, -1e-20, 3.0]), torch.tensor([0.7, 1.0, 3.0])
    space = box(low, high)
    assert (space.centre - space.axes <= low.double()).all()
    assert (space.centre + space.axes >= high.double()).all()
    assert space.axes[2] == 0
