import math

import pytest
import torch
from asserts import GRID, assert_envelope, assert_extent, assert_lipschitz, columns

from coreprune.core.activations import gelu, relu, sigmoid, step
from coreprune.core.elementwise import affine, compose, custom, identity
from coreprune.errors import ArgumentError

SCALE = torch.tensor([-2.0, 0.0, 0.5], dtype=torch.float64)
SHIFT = torch.tensor([1.0, -3.0, 0.0], dtype=torch.float64)


def _wave(z: torch.Tensor) -> torch.Tensor:
    return torch.sin(3 * z)


STRAIGHT = [
    pytest.param(identity(), 1, id="identity"),
    pytest.param(affine(-1.5, 2.0), 1, id="affine"),
    pytest.param(affine(SCALE, SHIFT), 3, id="affine per channel"),
    pytest.param(affine(SCALE, 1.0), 3, id="affine with one shift"),
]
EXACT = [
    *STRAIGHT,
    pytest.param(custom(torch.atan, lipschitz=1.0, monotone=True), 1, id="monotone custom"),
    pytest.param(
        custom(lambda z: -torch.atan(z), lipschitz=1.0, monotone=True), 1, id="falling custom"
    ),
    pytest.param(compose(affine(SCALE, SHIFT), relu()), 3, id="affine then relu"),
    pytest.param(compose(relu(), affine(SCALE, SHIFT)), 3, id="relu then affine"),
    pytest.param(compose(affine(0.5, 0.0), gelu(), affine(2.0, -1.0)), 1, id="three stages"),
]


@pytest.mark.parametrize(("activation", "width"), EXACT)
def test_the_extent_is_the_brute_force_range(activation, width):
    assert_extent(activation, width=width, slope=2.5)


@pytest.mark.parametrize(("activation", "width"), EXACT)
def test_the_lipschitz_constant_is_exact(activation, width):
    assert_lipschitz(activation, width=width)


@pytest.mark.parametrize(("activation", "width"), STRAIGHT)
def test_a_straight_line_is_its_own_envelope(activation, width):
    assert_envelope(activation, width=width)


@pytest.mark.parametrize(
    "activation",
    [
        custom(_wave, lipschitz=3.0, monotone=False),
        compose(custom(_wave, lipschitz=3.0, monotone=False), gelu(), affine(-1.0, 0.5)),
        compose(step(), sigmoid()),
    ],
    ids=["custom", "composed", "after a jump"],
)
def test_a_bounded_extent_is_never_too_small(activation):
    assert_extent(activation)


def test_the_lipschitz_extent_is_what_the_constant_allows():
    low, high = torch.tensor([-1.0]), torch.tensor([3.0])
    least, greatest = custom(torch.abs, lipschitz=1.0, monotone=False).extent(low, high)
    assert (least.item(), greatest.item()) == (0.0, 4.0)


def test_a_composition_applies_its_stages_in_order():
    z = GRID[:, None]
    composed = compose(affine(2.0, -1.0), relu(), affine(3.0, 0.5))
    torch.testing.assert_close(composed(z), (2 * z - 1).relu() * 3 + 0.5)
    assert composed.lipschitz == 6.0
    assert composed.envelope is None


def test_identities_leave_a_composition():
    kept = relu()
    assert compose(identity(), kept, identity()) is kept
    assert compose().name == compose(identity()).name == "identity"


def test_a_custom_function_named_identity_stays_in_a_composition():
    impostor = custom(torch.neg, lipschitz=1.0, monotone=True, name="identity")
    assert compose(impostor, relu())(torch.tensor([-2.0])).item() == 2.0


def test_a_constant_stage_makes_a_jump_lipschitz():
    assert compose(affine(0.0, 1.0), step()).lipschitz == 0.0
    per_channel = compose(affine(SCALE, 0.0), step()).lipschitz
    assert per_channel.tolist() == [math.inf, 0.0, math.inf]


def test_values_keep_the_dtype_of_the_query():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        z = columns(GRID, 3).to(dtype)
        assert compose(affine(SCALE, SHIFT), relu())(z).dtype == dtype


@pytest.mark.parametrize("lipschitz", [-1.0, math.nan])
def test_a_lipschitz_constant_that_is_none_is_refused(lipschitz):
    with pytest.raises(ArgumentError, match="lipschitz must be"):
        custom(torch.atan, lipschitz=lipschitz, monotone=True)


def test_a_custom_function_needs_a_way_to_its_range():
    assert custom(torch.exp, lipschitz=math.inf, monotone=True).lipschitz == math.inf
    with pytest.raises(ArgumentError, match="finite unless monotone=True"):
        custom(torch.exp, lipschitz=math.inf, monotone=False)
