import pytest
import torch
from gated import gated_neurons, random_gate, random_inputs
from torch import Generator

from coreprune.core.activations import gelu, identity, relu, sigmoid, silu
from coreprune.core.gated_moments import Gate, gated_moments
from coreprune.core.moments import MomentSum, activation_moments, affine_moments, isotropic

ACTIVATIONS = (silu(), gelu(), gelu("tanh"), relu(), sigmoid(), identity())
named = pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda one: one.name)


def replaced(gate, index):
    """The gate with some neurons, in that order."""
    return Gate(
        points=gate.points[index],
        bias=gate.bias[index],
        up=gate.up[index],
        up_bias=gate.up_bias[index],
        activation=gate.activation,
    )


@named
def test_closed_form_and_queries_agree(activation):
    gate, (inputs, root) = random_gate(activation), random_inputs()
    generator, sums = Generator().manual_seed(2), MomentSum()
    for _ in range(10):
        v = torch.randn(100_000, 6, dtype=torch.float64, generator=generator)
        sums.add(gated_neurons(gate, v @ root.T + inputs.mean))
    found, drawn = gated_moments(gate, inputs), sums.moments()
    scale = drawn.covariance.diagonal().sqrt()
    # A million draws: five deviations of a mean are 0.005; products have heavier tails.
    assert ((found.mean - drawn.mean) / scale).abs().max() < 0.005
    assert ((found.covariance - drawn.covariance) / scale / scale[:, None]).abs().max() < 0.03


def test_products_of_normal_numbers_are_exact():
    """For φ(z) = z: Cov(a_i u_i, a_j u_j) by Isserlis' theorem."""
    gate, (inputs, _) = random_gate(identity()), random_inputs()
    found = gated_moments(gate, inputs)
    c = inputs.covariance
    a, u = gate.points @ inputs.mean + gate.bias, gate.up @ inputs.mean + gate.up_bias
    aa, uu = gate.points @ c @ gate.points.T, gate.up @ c @ gate.up.T
    au = gate.points @ c @ gate.up.T
    exact = aa * uu + au * au.T
    exact += a[:, None] * a * uu + u[:, None] * u * aa
    exact += a[:, None] * u * au.T + u[:, None] * a * au
    torch.testing.assert_close(found.mean, a * u + au.diagonal())
    torch.testing.assert_close(found.covariance, exact)


@named
def test_covariance_is_positive_semidefinite_and_symmetric(activation):
    found = gated_moments(random_gate(activation, n=30), random_inputs()[0]).covariance
    torch.testing.assert_close(found, found.T)
    least = torch.linalg.eigvalsh((found + found.T) / 2)[0]
    assert least > -1e-10 * found.diagonal().max()


@named
def test_the_same_neuron_twice_is_the_same_twice(activation):
    gate = replaced(random_gate(activation), [0, 1, 0])
    found = gated_moments(gate, random_inputs()[0])
    torch.testing.assert_close(found.covariance[0], found.covariance[2], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.covariance[0, 0], found.covariance[0, 2])


@named
def test_order_of_neurons_is_order_of_moments(activation):
    gate, order = random_gate(activation), torch.randperm(10, generator=Generator().manual_seed(3))
    inputs = random_inputs()[0]
    found, other = gated_moments(gate, inputs), gated_moments(replaced(gate, order), inputs)
    torch.testing.assert_close(found.mean[order], other.mean)
    torch.testing.assert_close(found.covariance[order][:, order], other.covariance)


@named
def test_a_factor_that_is_constant_leaves_the_plain_moments(activation):
    gate = random_gate(activation)
    gate = Gate(
        points=gate.points,
        bias=gate.bias,
        up=torch.zeros_like(gate.up),
        up_bias=torch.ones_like(gate.up_bias),
        activation=activation,
    )
    plain = activation_moments(affine_moments(gate.points, gate.bias, isotropic(6)), activation)
    found = gated_moments(gate, isotropic(6))
    torch.testing.assert_close(found.mean, plain.mean)
    torch.testing.assert_close(found.covariance, plain.covariance, rtol=1e-6, atol=1e-5)


def test_a_neuron_that_never_varies_has_no_covariance():
    gate = random_gate(silu())
    gate.points[2], gate.up[2] = 0, 0
    found = gated_moments(gate, random_inputs()[0])
    assert found.covariance[2].abs().max() < 1e-12
    torch.testing.assert_close(found.mean[2], silu()(gate.bias)[2] * gate.up_bias[2])
