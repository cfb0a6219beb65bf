import pytest
import torch
from gated import gated_neurons, random_gate
from torch import Generator

from coreprune.core.activations import gelu, identity, relu, sigmoid, silu, softplus
from coreprune.core.gated_certificate import gated_certificate
from coreprune.core.gated_moments import Gate
from coreprune.core.query_set import ball, box, ellipsoid, queries
from coreprune.errors import ArgumentError

ACTIVATIONS = (silu(), gelu(), relu(), sigmoid(), softplus(), identity())


def attacked(gate, weights, offsets, *, space, steps=200):
    """The largest |r_i| that ascent finds, and the largest ‖r‖."""
    generator = Generator().manual_seed(5)
    best, norm = torch.zeros(len(weights), dtype=torch.float64), 0.0
    for i in range(len(weights) + 1):
        v = torch.randn(64, space.axes.shape[-1], dtype=torch.float64, generator=generator)
        for _ in range(steps):
            v = (v / v.norm(dim=1, keepdim=True).clamp_min(1)).requires_grad_()
            r = gated_neurons(gate, queries(space, v)) @ weights.T + offsets
            value = r.norm(dim=1) if i == len(weights) else r[:, i].abs()
            (slope,) = torch.autograd.grad(value.sum(), v)
            v = v.detach() + 0.1 * slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-12)
        v = v / v.norm(dim=1, keepdim=True).clamp_min(1)
        r = gated_neurons(gate, queries(space, v)) @ weights.T + offsets
        best = torch.maximum(best, r.abs().amax(0))
        norm = max(norm, float(r.norm(dim=1).max()))
    return best, norm


def problem(activation, seed=0, n=10):
    gate = random_gate(activation, seed=seed, n=n)
    g = Generator().manual_seed(seed + 50)
    weights = torch.randn(3, n, dtype=torch.float64, generator=g)
    return gate, weights, torch.randn(3, dtype=torch.float64, generator=g)


def spaces():
    g = Generator().manual_seed(9)
    centre = torch.randn(6, dtype=torch.float64, generator=g)
    root = torch.randn(6, 6, dtype=torch.float64, generator=g)
    return {
        "ball": ball(2.0, dimension=6),
        "small ball": ball(0.1, dimension=6),
        "axes": ellipsoid(root[0].abs(), centre=centre),
        "root": ellipsoid(root, centre=centre),
    }


@pytest.mark.parametrize("space", spaces().values(), ids=spaces())
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda one: one.name)
def test_no_query_exceeds_the_bound(activation, space):
    gate, weights, offsets = problem(activation)
    found = gated_certificate(gate, weights, offsets, space=space)
    reached, norm = attacked(gate, weights, offsets, space=space)
    assert (found.bound >= reached).all()
    assert found.norm >= norm
    assert found.norm <= float(found.bound.norm()) * (1 + 1e-9)


def test_a_tight_case_would_notice_a_bound_scaled_down():
    """One neuron φ(z) u with z = u = x has its supremum at the end of the interval."""
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for activation in (identity(), relu(), silu()):
        gate = Gate(points=one, bias=zero, up=one, up_bias=zero, activation=activation)
        space = ball(3.0, dimension=1)
        found = gated_certificate(gate, one, zero, space=space)
        reached, norm = attacked(gate, one, zero, space=space)
        assert found.bound >= reached > 0.9 * found.bound
        assert found.norm >= norm > 0.9 * found.norm


def test_many_neurons_gain_from_being_bounded_together():
    """The bound of sums whose signs differ is far below the sum of what each can reach."""
    gate, weights, offsets = problem(silu(), n=400)
    space = ball(2.0, dimension=6)
    found = gated_certificate(gate, weights, torch.zeros_like(offsets), space=space)
    triangle = weights.abs() @ (gate.points.norm(dim=1) * 2 + gate.bias.abs()).mul(
        gate.up.norm(dim=1) * 2 + gate.up_bias.abs()
    )
    assert (found.bound < 0.8 * triangle).all()


def test_products_that_cancel_are_seen_to():
    """The sum of a u and −u a is zero, whichever of the two is called the gate."""
    gate, _, _ = problem(identity(), n=1)
    both = Gate(
        points=torch.cat([gate.points, gate.up]),
        bias=torch.cat([gate.bias, gate.up_bias]),
        up=torch.cat([gate.up, gate.points]),
        up_bias=torch.cat([gate.up_bias, gate.bias]),
        activation=identity(),
    )
    weights = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    found = gated_certificate(both, weights, torch.zeros(1), space=ball(2.0, dimension=6))
    assert found.bound < 1e-5
    assert found.norm < 1e-5


def test_nothing_removed_is_nothing_lost():
    gate, weights, offsets = problem(silu())
    found = gated_certificate(gate, 0 * weights, 0 * offsets, space=ball(2.0, dimension=6))
    assert found.bound.abs().max() == 0
    assert found.norm == 0


def test_a_box_is_refused():
    gate, weights, offsets = problem(silu())
    with pytest.raises(ArgumentError, match="must be a ball or an ellipsoid"):
        gated_certificate(gate, weights, offsets, space=box(-torch.ones(6), torch.ones(6)))


def test_a_space_on_which_numbers_overflow_is_refused():
    gate, weights, offsets = problem(silu())
    with pytest.raises(ArgumentError, match="must keep silu finite"):
        gated_certificate(gate, weights, offsets, space=ball(1e200, dimension=6))
