"""Two activations are one function where no point of any size tells them apart."""

import pytest
import torch
from certified import ACTIVATIONS

from coreprune.core.activations import elu, hardtanh, prelu, softplus
from coreprune.core.elementwise import affine, compose
from coreprune.core.same_function import same_function

NAMES = [f"{number} {one.name}" for number, one in enumerate(ACTIVATIONS)]


def same(one, other, *, width=5, kept=range(5)):
    return same_function(one, other, width=width, kept=torch.tensor(list(kept)))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
def test_every_activation_is_itself(activation):
    assert same(activation, activation)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (hardtanh(-5000.0, 5000.0), hardtanh(-6000.0, 6000.0)),
        (hardtanh(-1e15, 1e15), hardtanh(-1e15, 1.001e15)),
        (softplus(1.0, 20.0), softplus(1.0, 20.5)),
        (elu(1.0), elu(1.0 + 1e-12)),
        (compose(affine(1.0, 0.0), elu()), compose(affine(1.0, 1e-12), elu())),
    ],
    ids=["clamp", "far clamp", "threshold", "scale", "shift"],
)
def test_other_numbers_make_another_function(one, other):
    assert not same(one, other)
    assert not same(other, one)


def test_numbers_of_their_own_go_with_the_neurons():
    slopes = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    kept = [3, 1]
    line = affine(slopes, slopes)
    assert same(prelu(slopes), prelu(slopes[kept]), kept=kept)
    assert not same(prelu(slopes), prelu(slopes[[1, 3]]), kept=kept)
    one, other = (
        compose(line, hardtanh()),
        compose(affine(slopes[kept], slopes[kept]), hardtanh()),
    )
    assert same(one, other, kept=kept)
