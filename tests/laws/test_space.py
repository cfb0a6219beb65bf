import weakref

import pytest
import torch
from networks import Forward, draw, mlp
from torch import nn

from coreprune import ArgumentError, Ball, Box, Gaussian, Impressions, Samples, Sphere, prune
from coreprune.graph.partition import find_groups
from coreprune.laws.calls import MOST
from coreprune.laws.space import query_space
from coreprune.shells.torch_module.subject import prepare


def space(model, *args, queries=None, seed=0):
    subject = prepare(model, args)
    return query_space(subject, find_groups(subject.graph).groups, queries=queries, seed=seed)


def test_radii_are_the_largest_on_the_examples_and_on_their_ball():
    net, x = mlp(6, 12, 9, 3), draw(4, 6)
    found, radius = space(net, x), float(x.norm(dim=1).max())
    ball = space(net, x, queries=Ball(radius))
    hidden = net[0](x).relu().detach()
    assert found.radii["0"] == pytest.approx(radius)
    assert found.radii["2"] == pytest.approx(max(ball.radii["2"], float(hidden.norm(dim=1).max())))
    assert found.words == (
        f"layer inputs no larger than on the example inputs and queries of norm {radius:.4g}"
    )


def test_a_ball_fixes_the_first_radius():
    net = mlp(6, 12, 9, 3)
    found = space(net, draw(4, 6), queries=Ball(9.0))
    assert found.radii["0"] == pytest.approx(9.0)
    assert found.words == "layer inputs no larger than on queries of norm 9"
    assert found.radii["2"] != space(net, draw(4, 6), queries=Ball(9.0), seed=1).radii["2"]


def test_zero_examples_take_a_ball_by_dimension():
    found = space(mlp(9, 12, 3), torch.zeros(2, 9))
    assert found.radii["0"] == pytest.approx(3.0)
    assert "queries of norm 3" in found.words


def test_the_largest_of_many_queries_counts():
    net = mlp(6, 12, 9, 3)
    one = space(net, torch.ones(1, 6), queries=Ball(2.0)).radii["2"]
    queries = Ball(2.0).sample((MOST, 6), generator=torch.Generator().manual_seed(0))
    assert one == pytest.approx(float(net[0](queries).relu().detach().norm(dim=1).max()))


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (
            nn.Sequential(nn.Embedding(5, 6, padding_idx=0), mlp(6, 12, 3)),
            (torch.tensor([[0, 0]]),),
        ),
        (Forward(lambda m, x, y: m.n(x + y), n=mlp(6, 12, 3)), (torch.zeros(4, 6),) * 2),
        (mlp(6, 12, 3), (torch.zeros(0, 6),)),
    ],
    ids=["padding", "two zeros", "empty batch"],
)
def test_layers_that_nothing_reaches_are_not_planned_for_silently(model, args):
    with pytest.raises(ArgumentError, match="as zeros or not at all"):
        space(model, *args)


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (Forward(lambda m, x, y: m.n(x + y), n=mlp(6, 12, 3)), (draw(4, 6), draw(4, 6))),
        (nn.Sequential(nn.Embedding(5, 6), mlp(6, 12, 3)), (torch.tensor([[1, 2]]),)),
        (mlp(6, 12, 3), (draw(6),)),
    ],
)
def test_a_ball_needs_one_batch_of_numbers(model, args):
    assert all(radius > 0 for radius in space(model, *args).radii.values())
    with pytest.raises(ArgumentError, match="one floating-point input that has a batch axis"):
        space(model, *args, queries=Ball(1.0))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_inputs_that_are_not_finite_are_refused(value):
    with pytest.raises(ArgumentError, match="NaN or infinite inputs to 0"):
        space(mlp(6, 12, 3), draw(4, 6).index_fill(1, torch.tensor([2]), value))


def test_a_sphere_counts_as_its_ball():
    net = mlp(6, 12, 9, 3)
    ball, sphere = (space(net, draw(4, 6), queries=kind(9.0)) for kind in (Ball, Sphere))
    assert (ball.radii, ball.words) == (sphere.radii, sphere.words)


def test_a_box_counts_by_its_farthest_corner():
    net = mlp(6, 12, 9, 3)
    found = space(net, draw(4, 6), queries=Box(-3.0, 1.0))
    assert found.radii == space(net, draw(4, 6), queries=Ball(3 * 6**0.5)).radii
    assert found.words == "layer inputs no larger than on queries of norm 7.348"


def test_samples_count_as_they_are():
    net, x = mlp(6, 12, 9, 3), 5 * draw(600, 6)
    found = space(net, draw(4, 6), queries=Samples(x))
    hidden = net[0](x).relu().detach()
    assert found.radii["0"] == pytest.approx(float(x.norm(dim=1).max()))
    assert found.radii["2"] == pytest.approx(float(hidden.norm(dim=1).max()), rel=1e-5)
    assert found.words == "layer inputs no larger than on the user's samples"


def test_samples_are_never_held_all_at_once():
    """A loader of more batches than memory holds; the next one comes once the last is let go."""
    alive = []

    class Loader:
        def __iter__(self):
            for _ in range(20):
                batch = draw(4, 6).clone()
                alive.append(weakref.ref(batch))
                assert sum(ref() is not None for ref in alive) <= 4
                yield batch

    space(mlp(6, 12, 3), draw(4, 6), queries=Samples(Loader()))
    assert len(alive) == 20


@pytest.mark.parametrize("law", [Gaussian(3.0), Impressions(deviation=3.0)])
def test_laws_without_bounds_take_the_examples(law):
    net, x = mlp(6, 12, 9, 3), draw(4, 6)
    found, plain = space(net, x, queries=law), space(net, x)
    assert (found.radii, found.words) == (plain.radii, plain.words)


@pytest.mark.parametrize("law", [Ball(1.0), Sphere(1.0), Box(-1.0, 1.0)])
@pytest.mark.parametrize("x", [torch.zeros(0, 6), draw(6)], ids=["empty", "no batch"])
def test_bounded_laws_are_refused_through_prune_as_well(law, x):
    name = type(law).__name__
    with pytest.raises(ArgumentError, match=rf"queries={name}\(\.\.\.\) needs a network with one"):
        prune(mlp(6, 12, 3), x, keep=0.5, queries=law)


def test_windows_are_measured_where_taps_see_several_patches():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )
    x = draw(3, 2, 15, 15)
    found = space(net, x, queries=Samples(x))
    assert list(found.windows) == ["0"]
    window = found.windows["0"]
    assert window.extents == (7, 7)
    norms = x.unfold(2, 7, 1).unfold(3, 7, 1).square().sum((1, 4, 5)).sqrt()
    assert window.radius == pytest.approx(norms.max().item(), rel=1e-5)
    assert window.radius > found.radii["0"]
