import pytest
import torch

from coreprune import ArgumentError, Ball, Box, Ellipsoid, Gaussian
from coreprune.queries.bounded import query_set_of, words_of


def test_a_ball_is_one_in_all_numbers_of_an_input():
    found = query_set_of(Ball(2.0), (3, 2, 2))
    assert found.unit == "ball"
    assert found.centre.tolist() == [0.0] * 12
    assert found.axes.tolist() == [2.0] * 12


def test_a_box_s_channels_are_laid_out_as_images_are():
    low = torch.tensor([0.0, -1.0])[:, None, None]
    found = query_set_of(Box(low, 1.0), (2, 1, 2))
    assert found.unit == "cube"
    assert found.centre.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert (found.centre + found.axes >= 1.0).all()
    assert (found.centre - found.axes <= torch.tensor([0.0, 0.0, -1.0, -1.0])).all()


def test_an_ellipsoid_keeps_its_axes():
    root = torch.arange(6.0).reshape(3, 2)
    found = query_set_of(Ellipsoid([1.0, 2.0, 3.0], root), (3,))
    assert torch.equal(found.axes, root.double())
    assert found.centre.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (Ellipsoid(torch.zeros(2), torch.ones(2)), "2 dimensions, but inputs have 3"),
        (Box(torch.zeros(2), torch.ones(2)), "does not broadcast"),
        (Gaussian(), "one of Ball, Box, Ellipsoid"),
        (None, "got NoneType"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(space, words):
    with pytest.raises(ArgumentError, match=words):
        query_set_of(space, (3,))


def test_spaces_have_words():
    assert words_of(Ball(9.2)) == "all inputs of norm at most 9.2"
    assert words_of(Box(-1.0, 2.5)) == "all inputs in the box from -1 to 2.5"
    assert "2 half-axes" in words_of(Ellipsoid(torch.zeros(2), torch.ones(2)))
