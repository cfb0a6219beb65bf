import itertools
import math
import time

import certified
import pytest
import torch
from certified import ACTIVATIONS, SPACES, grid, holds, normal, random_space, random_sums, reached
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from coreprune.core.activations import gelu, prelu, relu, step, tanh
from coreprune.core.attack import Ascent
from coreprune.core.certificate import certificate, refinements
from coreprune.core.elementwise import custom
from coreprune.core.neuron_sums import Block, difference, evaluate, neuron_sums
from coreprune.core.query_set import ball, box, ellipsoid, queries
from coreprune.errors import ArgumentError

NAMES = [f"{number} {one.name}" for number, one in enumerate(ACTIVATIONS)]


def one_block(points, bias, weights, activation=None, offsets=None):
    block = Block(
        points=torch.tensor(points, dtype=torch.float64),
        bias=torch.tensor(bias, dtype=torch.float64),
        activation=activation or relu(),
        weights=torch.tensor(weights, dtype=torch.float64),
    )
    return neuron_sums([block], torch.tensor(offsets or [0.0] * len(weights)))


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 100_000),
    activation=st.sampled_from([*ACTIVATIONS, None]),
    d=st.integers(1, 5),
    n=st.integers(1, 6),
    size=st.sampled_from([0.1, 1.0, 7.0]),
    spread=st.sampled_from([0.0, 1.0, 6.0]),
)
def test_no_query_beats_a_certificate(space, seed, activation, d, n, size, spread):
    generator = Generator().manual_seed(seed)
    sums = random_sums(activation, d=d, n=n, spread=spread, generator=generator)
    queried = random_space(space, d=d, size=size, generator=generator)
    values, peaks = reached(
        sums, queried, samples=200, ascent=Ascent(restarts=3, steps=20), generator=generator
    )
    for found in refinements(sums, queried, passes=(0, 30)):
        assert holds(found, values, peaks)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
@pytest.mark.parametrize("d", [1, 2])
def test_on_a_fine_grid_it_holds_and_is_not_far(activation, d):
    generator = Generator().manual_seed(d)
    sums = random_sums(activation, d=d, n=4, generator=generator)
    for kind in ("ball", "box"):
        space = random_space(kind, d=d, size=2.0, generator=generator)
        peak = evaluate(sums, queries(space, grid(space, 301))).abs().amax(0)
        found = certificate(sums, space, effort=0.2)
        assert (found.bound >= peak).all()
        assert (found.bound <= 3.5 * peak).all(), found.bound / peak


@pytest.mark.parametrize("seed", range(20))
def test_it_covers_the_exact_supremum_of_piecewise_linear_sums(seed):
    generator = Generator().manual_seed(seed)
    sums = random_sums(relu(), d=2, n=4, generator=generator)
    space = random_space("box", d=2, size=2.0, generator=generator)
    exact = certified.piecewise_linear_supremum(sums, space)
    on_grid = evaluate(sums, queries(space, grid(space, 201))).abs().amax(0)
    assert (exact >= on_grid - 1e-12).all()
    found = certificate(sums, space)
    assert (found.bound >= exact).all()
    assert (found.bound <= 3 * exact).all()


@pytest.mark.parametrize(
    "space",
    [ball(2.0, dimension=2), box(torch.tensor([-1.0, -2]), torch.tensor([1.0, 2]))],
    ids=["ball", "box"],
)
def test_a_tight_certificate_scaled_by_nine_tenths_is_beaten(space):
    sums = one_block([[3.0, 4.0], [0.0, 1.0]], [1.0, 20.0], [[1.0, -0.5], [-2.0, 1.0]])
    found = certificate(sums, space)
    values, peaks = reached(
        sums, space, samples=100, ascent=Ascent(), generator=Generator().manual_seed(0)
    )
    assert holds(found, values, peaks)
    assert not holds(found, values, peaks, factor=0.9)


def test_one_neuron_is_bounded_exactly():
    sums = one_block([[3.0, 4.0]], [-4.0], [[2.0], [-2.0]])
    found = certificate(sums, ball(2.0, dimension=2))
    torch.testing.assert_close(found.upper, torch.tensor([12.0, 0.0]).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(found.lower, torch.tensor([0.0, -12.0]).double(), atol=1e-9, rtol=0)


def test_orthogonal_neurons_are_bounded_exactly():
    sums = one_block(torch.eye(4).tolist(), [0.0] * 4, [[1.0] * 4])
    found = certificate(sums, ball(1.0, dimension=4), effort=2.0)
    assert 2.0 <= found.bound.item() <= 2.0 * 1.002  # Σ x_l over the ball is √4


def test_neurons_whose_sign_is_fixed_cancel_exactly():
    generator = Generator().manual_seed(0)
    points, weights = normal(6, 3, generator=generator), normal(2, 6, generator=generator)
    far = 10 * torch.tensor([1.0, -1, 1, 1, -1, 1]).double()
    sums = neuron_sums(
        [Block(points=points, bias=far, activation=relu(), weights=weights)], torch.zeros(2)
    )
    space = ball(1.0, dimension=3)
    on = far > 0
    line = weights[:, on] @ points[on]
    exact = (weights[:, on] @ far[on]).abs() + line.norm(dim=1)
    torch.testing.assert_close(certificate(sums, space).bound, exact, rtol=1e-9, atol=0)


def test_equal_networks_have_no_difference():
    generator = Generator().manual_seed(0)
    sums = random_sums(gelu(), d=3, n=4, generator=generator)
    twins = difference(sums, sums)
    found = certificate(twins, ball(1.0, dimension=3))
    assert (found.bound >= 0).all()
    same = neuron_sums([b.__class__(points=b.points, bias=b.bias, activation=b.activation,
        weights=b.weights * 0) for b in sums.blocks], torch.zeros(2))  # fmt: skip
    assert (certificate(same, ball(1.0, dimension=3)).bound < 1e-12).all()


def test_collinear_neurons_of_opposite_sign_cancel():
    sums = one_block([[1.0], [1.0]], [0.0, 0.0], [[3.0, -2.0]])
    found = certificate(sums, ball(1.0, dimension=1), effort=2.0)
    assert 1.0 <= found.bound.item() <= 1.01


@pytest.mark.parametrize(
    "activation",
    [*ACTIVATIONS, prelu(torch.tensor([0.5, -1.0, 2.0]))],
    ids=[*NAMES, "mixed slopes"],
)
def test_a_single_query_is_bounded_by_its_value(activation):
    generator = Generator().manual_seed(3)
    block = Block(
        points=normal(3, 2, generator=generator),
        bias=normal(3, generator=generator),
        activation=activation,
        weights=normal(2, 3, generator=generator),
    )
    sums = neuron_sums([block], torch.ones(2))
    centre = normal(2, generator=generator)
    value = evaluate(sums, centre)
    found = certificate(sums, ball(0.0, centre=centre))
    assert (found.bound >= value.abs()).all()
    torch.testing.assert_close(found.upper, value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.lower, value, rtol=1e-9, atol=1e-9)


def test_permuting_neurons_or_scaling_sums_changes_nothing_else():
    generator = Generator().manual_seed(5)
    points, bias = normal(5, 3, generator=generator), normal(5, generator=generator)
    weights, order = normal(1, 5, generator=generator), torch.randperm(5, generator=generator)

    def bound(points, bias, weights, effort):
        block = Block(points=points, bias=bias, activation=relu(), weights=weights)
        sums = neuron_sums([block], torch.zeros(1))
        return certificate(sums, ball(2.0, dimension=3), effort=effort).bound

    # The search for majorants starts elsewhere, in coordinates that the order of the rows chooses.
    for effort, rtol in ((0.0, 1e-9), (None, 3e-2)):
        plain = bound(points, bias, weights, effort)
        moved = bound(points[order], bias[order], weights[:, order], effort)
        torch.testing.assert_close(moved, plain, rtol=rtol, atol=0)
        scaled = bound(points, bias, 8 * weights, effort)
        torch.testing.assert_close(scaled, 8 * plain, rtol=1e-6, atol=0)


def test_refining_only_improves_and_never_loses_the_proof():
    generator = Generator().manual_seed(1)
    sums = random_sums(relu(), d=6, n=30, k=5, generator=generator)
    space = ball(3.0, dimension=6)
    values, peaks = reached(
        sums, space, samples=1000, ascent=Ascent(), generator=Generator().manual_seed(0)
    )
    bounds = []
    for found in refinements(sums, space, passes=(5, 50)):
        assert holds(found, values, peaks)
        bounds.append(found.bound)
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(bounds))
    assert (bounds[-1] < 0.95 * bounds[0]).all()


def test_effort_is_a_limit_on_time():
    generator = Generator().manual_seed(1)
    sums = random_sums(relu(), d=40, n=60, k=40, generator=generator)
    space = ball(3.0, dimension=40)
    started = time.monotonic()
    quick = certificate(sums, space, effort=0.0)
    slow = certificate(sums, space, effort=0.3)
    assert time.monotonic() - started < 20
    assert (slow.bound <= quick.bound).all()
    assert set(quick.proofs) <= {"triangle", "linear", "spectral"}


def test_the_bound_of_wide_layers_agrees_with_the_general_one(monkeypatch):
    generator = Generator().manual_seed(2)
    sums = random_sums(relu(), d=20, n=12, k=3, generator=generator)
    space = ball(2.0, dimension=20)
    general = certificate(sums, space)
    monkeypatch.setattr("coreprune.core.certificate.WIDE", 2)
    wide = certificate(sums, space)
    values, peaks = reached(sums, space, samples=500, ascent=Ascent(), generator=generator)
    assert holds(wide, values, peaks)
    assert (wide.bound <= 1.6 * general.bound).all()
    assert set(wide.proofs) == {"joint"}


def test_the_bound_of_wide_layers_is_exact_for_orthogonal_neurons(monkeypatch):
    monkeypatch.setattr("coreprune.core.certificate.WIDE", 2)
    eye = torch.eye(4).tolist()
    offset = one_block(eye, [0.0] * 4, [[1.0, 1.0, 1.0, 1.0]], offsets=[0.5])
    found = list(refinements(offset, ball(1.0, dimension=4), passes=(100,)))[-1]
    assert 2.5 <= found.upper.item() <= 2.52


def test_opposite_neurons_of_wide_layers_may_lose_the_joint_bound_but_no_other(monkeypatch):
    # The powers of SSᵀ start at its row sums, 0 for the pair: no price that is tried is enough.
    monkeypatch.setattr("coreprune.core.certificate.WIDE", 2)
    rows = [[1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.001, 0.0, 0.0]]
    sums = one_block(rows, [0.0, 0.0, 0.0], [[1.0, 1.0, 1.0]], offsets=[0.5])
    first, *_, last = refinements(sums, ball(1.0, dimension=4), passes=(20,))
    assert first.upper.item() == last.upper.item() >= 0.5 + math.sqrt(1 + 1e-6)


def test_without_an_effort_very_wide_layers_keep_the_bounds_of_all_rows(monkeypatch):
    generator = Generator().manual_seed(2)
    sums = random_sums(relu(), d=6, n=9, k=3, generator=generator)
    space = ball(2.0, dimension=6)
    quick, refined = certificate(sums, space, effort=0.0), certificate(sums, space)
    monkeypatch.setattr("coreprune.core.certificate.MANY", 0)
    rows = certificate(sums, space, effort=0.0)
    assert (quick.bound <= rows.bound).all()
    assert (quick.bound < rows.bound).any()
    assert torch.equal(certificate(sums, space).bound, rows.bound)
    asked = certificate(sums, space, effort=0.5)
    assert (asked.bound <= rows.bound).all()
    assert (refined.bound < rows.bound).any()
    assert (asked.bound < rows.bound).any()


def test_a_quadratic_formed_in_single_precision_pays_for_it(monkeypatch):
    generator = Generator().manual_seed(2)
    sums = random_sums(relu(), d=6, n=9, k=3, generator=generator)
    space = box(-torch.ones(6), torch.ones(6))
    general = certificate(sums, space)
    monkeypatch.setattr("coreprune.core.lagrangian.WIDE", 2)
    single = certificate(sums, space)
    assert (single.bound >= general.bound * (1 - 1e-9)).all()
    torch.testing.assert_close(single.bound, general.bound, rtol=1e-4, atol=0)


def test_what_has_no_envelope_is_named():
    sine = custom(torch.sin, lipschitz=1.0, monotone=False, name="sine")
    sums = one_block([[1.0]], [0.0], [[1.0]], sine)
    found = certificate(sums, ball(0.5, dimension=1))
    assert found.without_envelope == ("sine",)
    assert found.bound.item() >= math.sin(0.5)
    assert found.bound.item() <= 0.75
    assert certificate(one_block([[1.0]], [0.0], [[1.0]]), ball(1.0, dimension=1)).proofs


def test_a_step_is_bounded_by_its_range():
    found = certificate(one_block([[1.0]], [0.0], [[2.0]], step()), ball(1.0, dimension=1))
    assert found.upper.item() == pytest.approx(2.0)
    assert found.lower.item() == pytest.approx(0.0, abs=1e-9)


def test_the_slack_of_short_precisions_widens_all_of_it():
    sums = one_block([[1.0]], [0.0], [[1.0]], tanh())
    plain = certificate(sums, ball(1.0, dimension=1))
    wide = certificate(sums, ball(1.0, dimension=1), slack=torch.tensor([0.25]))
    assert wide.bound.item() == pytest.approx(plain.bound.item() + 0.25)
    assert wide.upper.item() == pytest.approx(plain.upper.item() + 0.25)
    assert wide.lower.item() == pytest.approx(plain.lower.item() - 0.25)
    assert wide.norm == pytest.approx(plain.norm + 0.25)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ball(math.inf, dimension=2), "radius must be finite"),
        (lambda: ball(math.nan, dimension=2), "radius must be finite"),
        (lambda: ball(-1.0, dimension=2), "radius must be finite and not negative, got -1"),
        (lambda: ball(1.0), "needs dimension or centre"),
        (lambda: box(torch.tensor([0.0]), torch.tensor([math.inf])), "high must be finite"),
        (lambda: box(torch.tensor([math.nan]), torch.tensor([1.0])), "low must be finite"),
        (lambda: box(torch.tensor([2.0]), torch.tensor([1.0])), "low must not exceed high"),
        (lambda: box(torch.zeros(2), torch.ones(3)), r"shape \(d,\)"),
        (lambda: ellipsoid(torch.ones(3), centre=torch.zeros(2)), "axes must have shape"),
        (lambda: ellipsoid(torch.ones(2) / 0, centre=torch.zeros(2)), "axes must be finite"),
        (lambda: one_block([[math.nan]], [0.0], [[1.0]]), "must be finite"),
        (lambda: one_block([[1.0]], [0.0], [[1.0, 2.0]]), "block 0 must have points"),
        (lambda: neuron_sums([], torch.zeros(1)), "at least one block"),
        (
            lambda: certificate(one_block([[1.0]], [0.0], [[1.0]]), ball(1.0, dimension=2)),
            "space must have the dimension of the neurons' points, 1, got 2",
        ),
        (
            lambda: certificate(
                one_block([[1.0]], [0.0], [[1.0]]), ball(1.0, dimension=1), effort=math.nan
            ),
            "effort must be a number of seconds",
        ),
        (
            lambda: certificate(
                one_block(
                    [[1.0]],
                    [0.0],
                    [[1.0]],
                    custom(torch.exp, lipschitz=math.inf, monotone=True, name="exp"),
                ),
                ball(1000.0, dimension=1),
            ),
            "space must keep exp finite",
        ),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_input_is_refused_with_the_way_out(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
