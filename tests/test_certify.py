"""Certificates from two models alone: sound for any pair, tight for kept ones, clear in words."""

import copy
import itertools

import pytest
import torch
from networks import Forward, mlp, named
from torch import nn

import coreprune
from coreprune import ArgumentError, Ball, Box, Ellipsoid, UnsupportedModelError, certify, prune
from coreprune.core.coreset import METHODS

X = torch.linspace(-1, 1, 10).reshape(2, 5)
SPACES = [Ball(2.0), Box(-1.0, 0.5), Ellipsoid(torch.zeros(5), torch.eye(5)[:, :3])]


def network(*widths, act=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    return mlp(*widths, act=act)


def shaken(model, size=0.02):
    """The same network with all of its weights moved, as after repair."""
    other, generator = copy.deepcopy(model), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
    return other


def queries(space, count=400):
    """Queries of a space, many on its boundary. Shape (count, 5)."""
    v = torch.randn(count, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    if isinstance(space, Box):
        return -0.25 + 0.75 * v.clamp(-1, 1)
    unit = v / v.norm(dim=1, keepdim=True)
    return space.radius * unit if isinstance(space, Ball) else unit[:, :3] @ space.root.double().T


def change(original, pruned, x):
    with torch.no_grad():
        wide, small = copy.deepcopy(original).double(), copy.deepcopy(pruned).double()
        return (wide.eval()(x) - small.eval()(x)).abs().amax(0)


def assert_sound(found, original, pruned, space):
    assert found.holds
    assert (found.attack <= found.certificate + 1e-9).all()
    assert (change(original, pruned, queries(space)) <= found.certificate + 1e-9).all()
    for group in found.groups:
        assert group.certificate is None or group.attack <= group.certificate + 1e-9
        assert (group.attack is None) == group.reason.startswith("not attacked: ")


@pytest.mark.parametrize(
    ("method", "space"), list(zip(METHODS, itertools.cycle(SPACES), strict=False)), ids=str
)
@pytest.mark.parametrize("widths", [(5, 12, 3), (5, 12, 8, 3)], ids=["one", "two"])
def test_no_query_beats_the_certificate_of_any_method(method, widths, space):
    net = network(*widths)
    small = prune(net, X, keep=0.6, method=method, queries=Ball(2.0)).model
    found = certify(net, small, space, effort=0.1)
    assert found.scope == "network"
    assert found.certificate.shape == found.attack.shape == (3,)
    assert_sound(found, net, small, space)


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh, nn.PReLU, nn.Hardswish])
@pytest.mark.parametrize("widths", [(5, 12, 3), (5, 12, 8, 3)], ids=["one", "two"])
def test_it_holds_for_a_repaired_network(act, widths):
    net = network(*widths, act=act)
    small = shaken(prune(net, X, keep=0.6).model)
    assert_sound(certify(net, small, Ball(2.0)), net, small, Ball(2.0))


@pytest.mark.parametrize(
    "other",
    [(5, 12, 8, 3), (5, 20, 11, 3), (5, 7, 20, 3), (5, 9, 3), (5, 6, 6, 6, 3)],
    ids=["as wide", "wider", "crosswise", "shallower", "deeper"],
)
def test_it_holds_for_strangers(other):
    net, stranger = network(5, 12, 8, 3), network(*other, seed=5)
    assert_sound(certify(net, stranger, Ball(1.0)), net, stranger, Ball(1.0))


def test_shifted_biases_are_seen():
    net = network(5, 12, 3)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[2].bias += torch.tensor([1.0, 0.0, -2.0])
    found = certify(net, other, Ball(2.0))
    wanted = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    assert torch.allclose(found.certificate - found.rounding, wanted, atol=1e-6)
    assert torch.allclose(found.attack, wanted, atol=1e-6)


def test_a_network_is_itself_in_any_order_of_its_neurons():
    net = network(5, 12, 8, 3)
    other = copy.deepcopy(net)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        other[0].weight.copy_(net[0].weight[order])
        other[0].bias.copy_(net[0].bias[order])
        other[2].weight.copy_(net[2].weight[:, order])
    found = certify(net, other, Ball(2.0))
    assert (found.rounding < 1e-4).all()
    assert (found.certificate <= found.rounding + 1e-9).all()


def test_normalisations_and_an_activation_at_the_end_belong_to_the_chain():
    torch.manual_seed(0)
    net = named(
        a=nn.Linear(5, 12), n=nn.BatchNorm1d(12), r=nn.ReLU(), m=nn.BatchNorm1d(12),
        b=nn.Linear(12, 3), s=nn.Sigmoid(),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for norm in (net.n, net.m):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(-2, 2)
    small = prune(net, X, keep=0.5).model
    found = certify(net, small, Ball(2.0))
    assert found.scope == "network"
    assert_sound(found, net, small, Ball(2.0))


def test_more_effort_is_no_worse_and_kept_neurons_beat_ranges():
    net = network(5, 40, 3)
    small = prune(net, X, keep=0.9).model
    quick, slow = (certify(net, small, Ball(2.0), effort=effort) for effort in (0.0, 2.0))
    assert (slow.certificate <= quick.certificate + 1e-12).all()
    assert not slow.vacuous


def test_what_says_nothing_is_said_to():
    widths = (5, 12, 12, 12, 3)
    found = certify(network(*widths), network(*widths, seed=8), Ball(50.0), effort=0.0)
    assert "outputs: the certificate exceeds the whole range" in found.vacuous


@pytest.mark.parametrize("space", [Ball(1e-30), Ellipsoid(torch.zeros(5), torch.zeros(5))])
def test_a_change_that_is_larger_than_a_range_is_not_said_to_say_nothing(space):
    """On a single query the original has no range, and all that the two differ by is found."""
    found = certify(network(5, 12, 3), network(5, 12, 3, seed=8), space)
    assert (found.attack > 0.5 * found.certificate).all()
    assert not found.vacuous


def residual(width=6):
    torch.manual_seed(0)
    return Forward(
        lambda m, x: m.out(x + m.b(torch.relu(m.a(x)))),
        a=nn.Linear(5, width), b=nn.Linear(width, 5), out=nn.Linear(5, 2),
    )  # fmt: skip


def test_a_network_that_is_no_chain_is_certified_group_by_group():
    net = residual()
    small = prune(net, X, keep=0.5).model
    found = certify(net, small, Ball(2.0), example_inputs=X)
    assert found.scope.startswith("group: no bound of the whole network, because")
    assert "each group's first layer" in found.space
    assert [group.name for group in found.groups] == ["a → b"]
    assert 0 < found.attack[0] <= found.certificate[0] < torch.inf


@pytest.mark.parametrize(
    "space", [Ellipsoid(torch.zeros(4), torch.ones(4)), Box(torch.zeros(4), torch.ones(4))]
)
def test_a_space_that_fits_no_group_is_refused(space):
    net = residual()
    with pytest.raises(ArgumentError, match=r"space must fit .* fits none \(a → b: "):
        certify(net, net, space, example_inputs=X)


def normalised(bias):
    """A group whose reader hands the constant of a cut to a mean where it has no bias."""
    torch.manual_seed(0)
    return Forward(
        lambda m, x: m.out(x + m.n(m.b(torch.relu(m.a(x))))),
        a=nn.Linear(5, 6), b=nn.Linear(6, 5, bias=bias), n=nn.BatchNorm1d(5), out=nn.Linear(5, 2),
    ).eval()  # fmt: skip


def test_a_mean_that_takes_the_constant_of_a_cut_counts_for_its_group():
    net, other = normalised(bias=False), normalised(bias=False)
    other.n.running_mean[1] -= 1.0
    (group,) = certify(net, other, Ball(2.0), example_inputs=X).groups
    assert group.attack == pytest.approx(1.0)
    assert group.attack <= group.certificate < 1.01


def test_a_mean_that_takes_constants_in_one_network_alone_leaves_nothing_to_compare():
    found = certify(
        normalised(bias=False), normalised(bias=True), Ball(2.0), example_inputs=X, effort=0.0
    )
    assert found.certificate.isinf().all()


def test_groups_of_other_outer_sizes_have_no_certificate():
    net, small = residual(), residual()
    small.a = nn.Linear(5, 3)
    small.b = nn.Linear(3, 5)
    small.out = nn.Linear(5, 2)
    assert certify(net, small, Ball(2.0), example_inputs=X).groups[0].certificate is not None
    renamed = Forward(
        lambda m, x: m.out(x + m.b(torch.relu(m.first(x)))), first=net.a, b=net.b, out=net.out
    )
    found = certify(net, renamed, Ball(2.0), example_inputs=X)
    assert found.certificate.isinf().all()
    assert found.attack.isnan().all()
    assert found.groups[0].attack is None
    assert found.groups[0].reason.startswith("not attacked: ")
    assert "the pruned network has no such group" in found.groups[0].reason
    assert found.to_json()["attack"] == found.to_json()["certificate"] == [None]


def test_layers_whose_neurons_cannot_be_matched_are_not_said_to_differ_by_nothing():
    net, deeper = network(5, 12, 8, 3), network(5, 6, 6, 6, 3, seed=5)
    found = certify(net, deeper, Ball(1.0), effort=0.0)
    assert [group.attack for group in found.groups] == [None, None]
    assert all("could not be matched" in group.reason for group in found.groups)
    assert (found.attack > 0).all()
    assert found.to_json()["groups"][0]["attack"] is None


def test_images_are_flattened():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 2))
    x = torch.randn(1, 3, 2, 2)
    small = prune(net, x, keep=0.5).model
    space = Box.of_images([0.5, 0.4, 0.3], [0.2, 0.2, 0.2])
    found = certify(net, small, space, example_inputs=x)
    assert found.scope == "network"
    assert found.holds


def test_neither_network_is_touched_and_a_seed_repeats_it():
    net = network(5, 12, 3)
    small = prune(net, X, keep=0.5).model
    before = [copy.deepcopy(model.state_dict()) for model in (net, small)]
    one, two = (certify(net, small, Ball(2.0), seed=4) for _ in range(2))
    assert torch.equal(one.attack, two.attack)
    for state, model in zip(before, (net, small), strict=True):
        assert all(torch.equal(state[name], t) for name, t in model.state_dict().items())


def test_classes_that_cannot_change_do_not():
    net = network(5, 40, 3)
    small = prune(net, X, keep=0.8).model
    samples = torch.randn(60, 5, generator=torch.Generator().manual_seed(2))
    shares = [
        certify(net, small, samples=samples, radius=radius, effort=0.0).unchanged
        for radius in (None, 0.02, 5.0)
    ]
    with torch.no_grad():
        same = (net(samples).argmax(1) == small(samples).argmax(1)).double().mean()
    assert 0.2 < shares[0] <= same
    assert shares[0] >= shares[1] > shares[2] == 0


@pytest.mark.parametrize(
    "ending", [nn.GELU(), nn.ReLU(), nn.LeakyReLU(-0.5), nn.PReLU(3), nn.Hardtanh(-9, 9)], ids=str
)
def test_classes_are_not_told_behind_what_changes_their_order(ending):
    if isinstance(ending, nn.PReLU):
        ending.weight.data = torch.tensor([0.1, 0.2, 0.3])
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3), ending)
    with pytest.raises(ArgumentError, match=r"behind \w+ another can be the largest"):
        certify(net, net, samples=X, effort=0.0)


def test_classes_are_told_behind_what_keeps_their_order():
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    bounded = nn.Sequential(*net, nn.Tanh())
    shares = [certify(n, n, samples=X, effort=0.0).unchanged for n in (net, bounded)]
    assert shares[0] == shares[1] > 0


def test_the_space_of_samples_holds_them_and_what_is_around():
    net = network(5, 12, 3)
    found = certify(net, net, samples=torch.full((2, 5), 2.0), radius=0.5, effort=0.0)
    assert found.space == "all inputs of norm at most 4.97214"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": None}, "space must be one of Ball, Box, Ellipsoid"),
        ({"space": 3.0}, "space must be one of"),
        ({"space": coreprune.Gaussian()}, "bounded queries"),
        ({"space": Box(torch.zeros(4), torch.ones(4))}, "does not broadcast"),
        ({"space": Ellipsoid(torch.zeros(4), torch.ones(4))}, "4 dimensions, but inputs have 5"),
        ({"effort": -1.0}, "effort must be"),
        ({"effort": float("nan")}, "effort must be"),
        ({"radius": -0.1, "samples": X}, "radius must be"),
        ({"radius": float("inf"), "samples": X}, "radius must be"),
        ({"samples": torch.full((2, 5), torch.nan)}, "samples must be finite, got NaN"),
        ({"samples": torch.full((2, 5), torch.inf)}, "samples must be finite, got infinite"),
        ({"samples": torch.ones(5)}, "samples must have shape"),
        ({"pruned": mlp(5, 12, 3).half()}, "pruned in float16.*convert one.*float"),
        ({"samples": torch.ones(2, 6)}, "samples must have 5 numbers each"),
        ({"seed": -1}, "seed must be"),
        ({"pruned": mlp(5, 4, 2)}, "must have the outputs of original"),
        ({"pruned": mlp(6, 4, 3)}, "must have the inputs of original"),
        ({"original": nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(5, 3))}, "example_inputs"),
        ({"example_inputs": torch.zeros(1, 7)}, "example_inputs must run"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change, words):
    net = mlp(5, 12, 3)
    said = {"original": net, "pruned": net, "space": Ball(1.0)} | change
    with pytest.raises(ArgumentError, match=words):
        certify(said.pop("original"), said.pop("pruned"), said.pop("space"), **said)


@pytest.mark.parametrize("radius", [1e101, 1e300])
def test_a_space_too_large_for_numbers_is_named(radius):
    net = network(5, 12, 8, 3)
    with pytest.raises(ArgumentError, match="space must keep inputs within 1e"):
        certify(net, net, Ball(radius))


@pytest.mark.parametrize("radius", [0.0, float("inf"), float("nan"), -1.0])
def test_a_ball_needs_a_radius(radius):
    with pytest.raises(ArgumentError, match="radius must be positive and finite"):
        Ball(radius)


@pytest.mark.parametrize(
    ("centre", "root", "words"),
    [
        (torch.zeros(2, 2), torch.ones(2), "shape"),
        (torch.zeros(2), torch.ones(3), "shape"),
        (torch.zeros(2), torch.tensor([1.0, torch.inf]), "finite"),
    ],
)
def test_an_ellipsoid_needs_shapes_that_fit(centre, root, words):
    with pytest.raises(ArgumentError, match=words):
        Ellipsoid(centre, root)


def test_broken_weights_and_networks_without_hidden_layers_are_refused():
    net = network(5, 12, 3)
    broken = copy.deepcopy(net)
    with torch.no_grad():
        broken[0].weight[0, 0] = torch.nan
    with pytest.raises(UnsupportedModelError, match="pruned has NaN or infinite"):
        certify(net, broken, Ball(1.0))
    with pytest.raises(UnsupportedModelError, match="original has NaN or infinite"):
        certify(broken, net, Ball(1.0))
    line = nn.Sequential(nn.Linear(5, 3))
    with pytest.raises(UnsupportedModelError, match="nothing to certify"):
        certify(line, line, Ball(1.0))


def test_samples_need_classes_of_a_whole_network():
    with pytest.raises(ArgumentError, match="classes of the whole network"):
        certify(residual(), residual(), samples=X, example_inputs=X)


class Clamp(nn.Module):
    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, x):
        return x.clamp(-self.most, self.most)


def test_clamps_that_differ_far_out_are_not_taken_for_one_function():
    def clamped(most, *ending):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), Clamp(most), nn.Linear(6, 2), *ending)

    found = certify(clamped(5000.0), clamped(6000.0), Ball(1e5), effort=0.0)
    assert found.holds
    assert (found.attack > 100).all()
    with pytest.raises(UnsupportedModelError, match="with other numbers"):
        certify(clamped(1.0, Clamp(100.0)), clamped(1.0, Clamp(200.0)), Ball(1e4))


def test_activations_without_an_envelope_are_named():
    torch.manual_seed(0)
    known = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 3))
    net = nn.Sequential(nn.Linear(6, 12), nn.Sigmoid(), nn.Tanh(), nn.Linear(12, 3))
    example = torch.ones(1, 6)
    assert certify(known, prune(known, example, keep=0.5).model, Ball(1.0)).by_range == ()
    found = certify(net, prune(net, example, keep=0.5).model, Ball(1.0))
    assert found.by_range == ("sigmoid → tanh",)
    assert found.to_json()["by_range"] == ["sigmoid → tanh"]
    assert (found.attack <= found.certificate).all()


def test_groups_are_listed_in_the_order_of_the_network():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2),
    )  # fmt: skip
    image = torch.zeros(1, 1, 6, 6)
    found = certify(net, copy.deepcopy(net), Ball(1.0), example_inputs=image, effort=0.0)
    assert [group.name for group in found.groups] == ["0 → 2", "2 → 5", "5 → 7"]


def test_names_with_arrows_in_them_are_listed_in_the_order_of_the_network_too():
    torch.manual_seed(0)
    layers = {name: nn.Linear(5, 5) for name in ("a", "b", "m", "n", "a → b", "c", "out")}

    def forward(net, x):
        for one, other in (("a", "b"), ("m", "n"), ("a → b", "c")):
            x = x + getattr(net, other)(torch.relu(getattr(net, one)(x)))
        return net.out(x)

    net = Forward(forward, **layers)
    found = certify(net, net, Ball(1.0), example_inputs=X, effort=0.0)
    assert [group.name for group in found.groups] == ["a → b", "m → n", "a → b → c"]


def test_where_nothing_is_proven_is_told_in_half_precision():
    net = network(5, 4000, 3).half()
    found = certify(net, copy.deepcopy(net), Ball(1.0), example_inputs=X.half(), effort=0.0)
    assert found.certificate.isinf().all()
    assert found.vacuous == "3 of 3 outputs: nothing is proven"
