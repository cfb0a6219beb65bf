"""Mean and covariance of gated neurons φ(a_j) u_j in closed form under a Gaussian law.

With a_j = α_j + σ_j ξ_j and u_j = υ_j + ũ_j jointly Gaussian, f_j(ξ) = φ_j(α_j + σ_j ξ),
ρ_ij = E ξ_i ξ_j, p_ij = E ũ_i ξ_j and q_ij = E ũ_i ũ_j, integration by parts (Stein's lemma) gives

    E[f_i u_i f_j u_j] = (υ_i υ_j + q_ij) E[f_i f_j]
        + (υ_j p_ii + υ_i p_ji) E[f_i′ f_j] + (υ_j p_ij + υ_i p_jj) E[f_i f_j′]
        + p_ii p_ji E[f_i″ f_j] + (p_ii p_jj + p_ij p_ji) E[f_i′ f_j′] + p_ij p_jj E[f_i f_j″],

and Mehler's formula each factor: the Hermite coefficients of f′ are √(r+1) a_{r+1}.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.moments import (
    ORDER,
    Isotropic,
    Moments,
    affine_moments,
    hermite_coefficients,
)

_AT_ONCE = 2**17
"""Numbers of one block of rows, few enough to stay in a cache from term to term."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gate:
    """The layers of gated neurons φ(A x + a) ⊙ (U x + u).

    Attributes:
        points: A. Shape (n, d).
        bias: a. Shape (n,).
        up: U. Shape (n, d).
        up_bias: u. Shape (n,).
        activation: φ.
    """

    points: Tensor
    bias: Tensor
    up: Tensor
    up_bias: Tensor
    activation: Activation


def gated_moments(gate: Gate, inputs: Moments | Isotropic) -> Moments:
    """The moments of gated neurons whose inputs are Gaussian, without sampling.

    The series stops after `ORDER` terms: it is then exact for the polynomials that f_j is cut down
    to, so K stays positive semidefinite. What that leaves of a neuron's variance enters as
    √(τ_i τ_j) ρ_ij^ORDER, as in `activation_moments`: the diagonal is exact or above.

    Args:
        gate: The neurons.
        inputs: The moments of x, of dimension d.

    Returns:
        μ_j = E[φ(a_j) u_j] and K = Cov(φ(a) ⊙ u).

    Example:
        >>> from coreprune.core.activations import identity
        >>> from coreprune.core.moments import isotropic
        >>> one, zero = torch.ones(1, 1), torch.zeros(1)
        >>> square = Gate(points=one, bias=zero, up=one, up_bias=zero, activation=identity())
        >>> round(gated_moments(square, isotropic(1)).mean.item(), 9)  # E ξ²
        1.0
    """
    known = _known(gate, inputs)
    mean, wanted = _exact(gate.activation, known)
    covariance, n = known.u.covariance, len(mean)  # no entry is read again once it is written
    step = max(1, _AT_ONCE // max(1, n))
    blocks = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    for rows in blocks:
        covariance[rows] = _product_means(known, rows) - mean[rows, None] * mean
    tail = (wanted - covariance.diagonal()).clamp_min(0).sqrt()
    for rows in blocks:
        covariance[rows] += tail[rows, None] * tail * known.rho(rows).pow_(ORDER)
    return Moments(mean=mean, covariance=covariance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """The Gaussian law of the layers.

    Attributes:
        a: The moments of the arguments of φ.
        u: Those of the factors.
        p: p_ij. Shape (n, n).
        own: p_jj. Shape (n,).
        deviation: σ_j. Shape (n,).
        inverse: 1 / σ_j, zero where σ_j is. Shape (n,).
        f: The Hermite coefficients of f_j. Shape (order + 1, n).
        variance: Var f_j. Shape (n,).
    """

    a: Moments
    u: Moments
    p: Tensor
    own: Tensor
    deviation: Tensor
    inverse: Tensor
    f: Tensor
    variance: Tensor

    def rho(self, rows: slice) -> Tensor:
        """Some rows of ρ."""
        scale = self.inverse[rows, None] * self.inverse
        return (self.a.covariance[rows] * scale).clamp_(-1, 1)


def _known(gate: Gate, inputs: Moments | Isotropic) -> _Known:
    a = affine_moments(gate.points, gate.bias, inputs)
    u = affine_moments(gate.up, gate.up_bias, inputs)
    deviation = a.covariance.diagonal().clamp_min(0).sqrt()
    inverse = torch.where(deviation > 0, 1 / deviation, 0.0)
    points = gate.points.double()
    if isinstance(inputs, Isotropic):
        spread = points.T * inputs.variance
    else:
        spread = inputs.covariance.to(points) @ points.T
    p = (gate.up.double() @ spread).mul_(inverse)
    f, variance = hermite_coefficients(a.mean, deviation, gate.activation)
    return _Known(
        a=a,
        u=u,
        p=p,
        own=p.diagonal().clone(),
        deviation=deviation,
        inverse=inverse,
        f=f,
        variance=variance,
    )


def _product_means(known: _Known, rows: slice) -> Tensor:
    """E[f_i u_i f_j u_j] of the polynomials, for some i and all j. Shape (b, n)."""
    f, p, own = known.f, known.p, known.own
    first = _derived(f)
    second = _derived(first)
    rho = known.rho(rows)
    v, w, pi, pj = known.u.mean[rows, None], known.u.mean, own[rows, None], own
    pij, pji = p[rows], p[:, rows].T
    total = (v * w + known.u.covariance[rows]) * _series(f[:, rows], f, rho)
    total += (w * pi + v * pji) * _series(first[:, rows], f, rho)
    total += (w * pij + v * pj) * _series(f[:, rows], first, rho)
    total += pi * pji * _series(second[:, rows], f, rho)
    total += (pi * pj + pij * pji) * _series(first[:, rows], first, rho)
    total += pij * pj * _series(f[:, rows], second, rho)
    return total


def _exact(activation: Activation, known: _Known) -> tuple[Tensor, Tensor]:
    """The mean and the variance of every neuron, the series not cut short. Shapes (n,).

    With u_j = υ_j + p_jj ξ_j + r_j, r_j independent of ξ_j, the first two terms and φ make one
    function of ξ_j.
    """
    slope = known.own * known.inverse

    def product(z: Tensor) -> Tensor:
        return activation(z) * (known.u.mean + slope * (z - known.a.mean))

    mean, variance = hermite_coefficients(
        known.a.mean, known.deviation, replace(activation, function=product), order=0
    )
    rest = (known.u.covariance.diagonal() - known.own.square()).clamp_min(0)
    return mean[0], variance + rest * (known.variance + known.f[0].square())


def _derived(coefficients: Tensor) -> Tensor:
    """The Hermite coefficients of the derivative, a zero at the end. Shape (order + 1, n)."""
    roots = torch.arange(1, len(coefficients), dtype=torch.float64).sqrt().to(coefficients)
    zero = torch.zeros_like(coefficients[:1])
    return torch.cat([roots[:, None] * coefficients[1:], zero])


def _series(left: Tensor, right: Tensor, rho: Tensor) -> Tensor:
    """Σ_r left_r(i) right_r(j) ρ_ij^r by Horner's rule. Shapes (order + 1, b) and (…, n)."""
    total = torch.zeros_like(rho)
    for a, b in zip(reversed(left.unbind()), reversed(right.unbind()), strict=True):
        total.mul_(rho).addcmul_(a[:, None], b[None])
    return total
