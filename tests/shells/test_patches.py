import pytest
import torch
from networks import draw
from torch.nn import functional as F  # noqa: N812 (as everybody writes it)

from coreprune.shells import patches as module
from coreprune.shells.patches import PLACES, largest_window_norm, patch_norms, patches
from coreprune.shells.torch_module.spatial import moves_of

CASES = {
    "plain": ((2, 3, 6, 7), (5, 3, 3, 3), (), {}),
    "positional": ((2, 3, 9, 8), (5, 3, 3, 2), (2, (1, 3), (2, 1), 1), {}),
    "same": ((2, 3, 5, 5), (5, 3, 4, 3), (), {"padding": "same", "dilation": (1, 2)}),
    "valid": ((2, 3, 5, 5), (5, 3, 4, 3), (1, "valid"), {}),
    "sound": ((2, 4, 11), (3, 4, 3), (2, 1), {"dilation": 2}),
    "volumes": ((1, 2, 4, 3, 4), (3, 2, 2, 2, 2), (1, (1, 0, 1)), {}),
    "one place": ((3, 2, 1, 1), (3, 2, 1, 1), (), {}),
}
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@pytest.fixture
def few(monkeypatch):
    """No more places an example than many examples have."""
    monkeypatch.setattr(module, "ROWS", 0)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", CASES)
def test_a_convolution_is_its_weight_times_its_patches(name):
    shape, kernel, rest, named = CASES[name]
    x, weight = draw(*shape).double(), draw(*kernel).double()
    wanted = CONVOLVE[len(shape) - 2](x, weight, None, *rest, **named)
    obtained = patches(x, moves_of(kernel[2:], rest, named)) @ weight.flatten(1).T
    if wanted[0, 0].numel() <= PLACES:
        torch.testing.assert_close(obtained, wanted.flatten(2).mT.flatten(0, 1))
    else:
        everywhere = wanted.flatten(2).mT
        rows = obtained.unflatten(0, (len(x), PLACES))
        for own, all_ in zip(rows, everywhere, strict=True):
            nearest = torch.cdist(own, all_)
            assert nearest.amin(1).max() < 1e-4
            assert len(own.unique(dim=0)) == PLACES


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", CASES)
def test_norms_are_those_of_the_patches(name):
    shape, kernel, rest, named = CASES[name]
    x = draw(*shape).double()
    norms = patch_norms(x, moves_of(kernel[2:], rest, named)).flatten()
    found = torch.linalg.vector_norm(patches(x, moves_of(kernel[2:], rest, named)), dim=1)
    if len(found) == len(norms):
        torch.testing.assert_close(found.float(), norms)
    else:
        assert (found[:, None] - norms).abs().amin(1).max() < 1e-4


def test_places_are_the_same_each_time_and_hold_borders_in_their_proportion():
    x, moves = torch.ones(400, 1, 8, 8), moves_of((3, 3), (1, 1), {})
    rows = patches(x, moves)
    assert torch.equal(rows, patches(x, moves))
    assert len(rows) == 400 * PLACES
    inner = (rows.sum(1) == 9).float().mean().item()
    assert inner == pytest.approx(36 / 64, abs=0.01)


def test_few_examples_have_more_places():
    moves = moves_of((3, 3), (1, 1), {})
    assert len(patches(draw(2, 1, 60, 60), moves)) == module.ROWS
    assert len(patches(draw(2, 1, 30, 30), moves)) == 2 * 900


@pytest.mark.parametrize("extents", [(1, 1), (3, 2), (4, 9), (9, 9)])
def test_the_largest_window_is_that_of_all_places(extents):
    x = draw(3, 2, 6, 7)
    wide = F.pad(x, [8] * 4)
    rows = wide.unfold(2, extents[0], 1).unfold(3, extents[1], 1)
    expected = rows.square().sum((1, 4, 5)).sqrt().amax((1, 2))
    torch.testing.assert_close(largest_window_norm(x, extents), expected)
