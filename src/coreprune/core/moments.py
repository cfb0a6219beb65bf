"""Mean and covariance of a layer's activations, in closed form under a Gaussian law or streamed.

If the pre-activations z are Gaussian with means m_j, deviations σ_j and correlations ρ_ij, then

    Cov(φ_i(z_i), φ_j(z_j)) = Σ_{r≥1} a_r(i) a_r(j) ρ_ij^r,    a_r(j) = E[φ_j(m_j + σ_j ξ) h_r(ξ)]

with ξ standard normal and h_r = He_r / √r! the normalised Hermite polynomials (Mehler's formula).
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.errors import ArgumentError

ORDER = 24
"""Hermite terms summed one by one; what is left of a neuron's variance enters as one term more."""

_REACH = 12.0
_PANEL = 512
"""Rows that are symmetrised at a time: the copies are n of these, not n²."""
_NODES, _WEIGHTS = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(48))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """First and second moments of a vector, in float64.

    Attributes:
        mean: μ. Shape (n,).
        covariance: K, symmetric and positive semidefinite to rounding. Shape (n, n).
    """

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Isotropic:
    """Moments of uncorrelated entries of one variance, without a matrix of d² entries.

    Attributes:
        mean: m, in float64. Shape (d,).
        variance: s² of every entry: the covariance is s² I.
    """

    mean: Tensor
    variance: float


def isotropic(dimension: int, variance: float = 1.0) -> Isotropic:
    """The moments of uncorrelated entries of mean zero, such as those of N(0, s² I)."""
    return Isotropic(mean=torch.zeros(dimension, dtype=torch.float64), variance=variance)


def spherical(dimension: int, radius: float) -> Isotropic:
    """The moments of the uniform law on the sphere of radius β, and of N(0, β²/d)."""
    return isotropic(dimension, radius**2 / dimension)


def affine_moments(points: Tensor, bias: Tensor, inputs: Moments | Isotropic) -> Moments:
    """The moments of z = P x + b.

    Args:
        points: P. Shape (n, d).
        bias: b. Shape (n,).
        inputs: The moments of x, of dimension d.

    Returns:
        P m + b and P C Pᵀ.
    """
    p = points.double()
    if isinstance(inputs, Isotropic):
        covariance = (p @ p.T).mul_(inputs.variance)
    else:
        covariance = p @ inputs.covariance.to(p) @ p.T
    mean = p @ inputs.mean.to(p) + bias.double()
    return Moments(mean=mean, covariance=symmetrised(covariance))


def symmetrised(matrix: Tensor) -> Tensor:
    """½ (A + Aᵀ) in the matrix's own memory.

    Args:
        matrix: A; overwritten. Shape (n, n).

    Returns:
        The same tensor.
    """
    for start in range(0, len(matrix), _PANEL):
        rows = slice(start, start + _PANEL)
        panel = (matrix[rows, start:] + matrix[start:, rows].T) / 2
        matrix[rows, start:] = panel
        matrix[start:, rows] = panel.T
    return matrix


def matched(z: Moments, mean: Tensor, variance: Tensor) -> Moments:
    """Moments with a known mean and variance that keep the correlations of z.

    Args:
        z: Of dimension n.
        mean: The known means. Shape (n,).
        variance: The known variances. Shape (n,).

    Returns:
        The moments; an entry that does not vary in z stays constant.
    """
    own = z.covariance.diagonal()
    scale = torch.where(own > 0, variance / own, 0.0).sqrt()
    return Moments(mean=mean, covariance=scale[:, None] * z.covariance * scale)


def recovered_inputs(points: Tensor, bias: Tensor, *, mean: Tensor, variance: Tensor) -> Isotropic:
    """What the inputs of a layer were like, from the statistics of its pre-activations.

        m = P⁺ (mean − b),        s² = Σ_j variance_j / Σ_j ‖p_j‖²

    m is the input mean of least norm that explains the pre-activations' means best; s² is the
    variance of independent entries that explains their total variance.

    Args:
        points: P. Shape (n, d).
        bias: b. Shape (n,).
        mean: Of P x + b over the data. Shape (n,).
        variance: Likewise. Shape (n,).

    Returns:
        The moments of inputs with mean m and covariance s² I, of dimension d.
    """
    p = points.double()
    m = torch.linalg.pinv(p) @ (mean - bias.double())
    total = p.square().sum()
    share = float(variance.sum() / total) if total > 0 else 1.0
    return Isotropic(mean=m, variance=share)


def activation_moments(z: Moments, activation: Activation) -> Moments:
    """The moments of φ(z) for Gaussian z, without sampling.

    The variance that `ORDER` terms leave, τ_j = Var φ_j − Σ_r a_r(j)², enters as
    √(τ_i τ_j) ρ_ij^26: the diagonal is exact, K stays positive semidefinite, and duplicate neurons
    stay duplicates.

    Args:
        z: Means and covariance of the pre-activations, of dimension n.
        activation: φ.

    Returns:
        μ_j = E[φ_j(z_j)] and K = Cov(φ(z)).

    Example:
        >>> from coreprune.core.activations import relu
        >>> z = affine_moments(torch.ones(1, 1), torch.zeros(1), isotropic(1))
        >>> activation_moments(z, relu()).mean.item()  # 1 / √(2π)
        0.3989...

    References:
        Mehler 1866; Cho & Saul 2009, "Kernel Methods for Deep Learning" (the ReLU case).
    """
    deviation = z.covariance.diagonal().clamp_min(0).sqrt()
    coefficients, variance = hermite_coefficients(z.mean, deviation, activation)
    higher = coefficients[1:]
    tail = (variance - higher.square().sum(0)).clamp_min(0).sqrt()
    scale = torch.where(deviation > 0, 1 / deviation, 0.0)
    covariance = torch.empty_like(z.covariance)
    rows = max(1, 2**22 // max(1, len(scale)))
    for start in range(0, len(scale), rows):
        block = slice(start, start + rows)
        rho = (z.covariance[block] * scale[block, None] * scale).clamp_(-1, 1)
        # Horner's rule in ρ, the tail as the term after the last.
        total = tail[block, None] * tail * rho**2
        for a in reversed(higher.unbind()):
            total.addcmul_(a[block, None], a[None]).mul_(rho)
        covariance[block] = total
    return Moments(mean=coefficients[0], covariance=covariance)


def hermite_coefficients(
    mean: Tensor, deviation: Tensor, activation: Activation, *, order: int = ORDER
) -> tuple[Tensor, Tensor]:
    """a_r(j) = E[φ_j(m_j + σ_j ξ) h_r(ξ)] for r = 0 … order, and Var φ_j(m_j + σ_j ξ).

    Gauss-Legendre quadrature between the activation's breakpoints, where φ is smooth: exact to
    rounding for kinked activations as well.

    Args:
        mean: m_j. Shape (n,).
        deviation: σ_j ≥ 0. Shape (n,).
        activation: φ.
        order: The last r.

    Returns:
        The coefficients, shape (order + 1, n), and the variances, shape (n,).
    """
    coefficients = torch.zeros(order + 1, len(mean), dtype=torch.float64, device=mean.device)
    square = torch.zeros_like(mean)
    centre = activation(mean)
    for low, high in _segments(mean, deviation, activation):
        half = (high - low) / 2
        xi = (low + high) / 2 + half * _NODES.to(mean)[:, None]
        mass = half * _WEIGHTS.to(mean)[:, None] * torch.exp(-(xi**2) / 2) / np.sqrt(2 * np.pi)
        # Deviations from φ(m) keep the variance of nearly constant neurons free of cancellation.
        values = activation(mean + deviation * xi) - centre
        weighted = values * mass
        square += (values * weighted).sum(0)
        previous, current = torch.zeros_like(xi), torch.ones_like(xi)
        for r in range(order + 1):
            coefficients[r] += (weighted * current).sum(0)
            following = (xi * current - r**0.5 * previous) / (r + 1) ** 0.5
            previous, current = current, following
    variance = (square - coefficients[0].square()).clamp_min(0)
    coefficients[0] += centre
    return coefficients, variance


def _segments(
    mean: Tensor, deviation: Tensor, activation: Activation
) -> Iterable[tuple[Tensor, Tensor]]:
    """Intervals of ξ that cover [−12, 12], cut at every breakpoint of φ. Shapes (n,)."""
    even = [torch.full_like(mean, edge) for edge in np.linspace(-_REACH, _REACH, 5)]
    scale = torch.where(deviation > 0, 1 / deviation, torch.inf)
    kinks = [
        ((torch.as_tensor(point, dtype=mean.dtype, device=mean.device) - mean) * scale)
        .nan_to_num(0.0)
        .clamp(-_REACH, _REACH)
        for point in activation.breakpoints
    ]
    edges = torch.stack([*even, *kinks]).sort(0).values
    return itertools.pairwise(edges)


def restricted(moments: Moments, indices: Tensor) -> Moments:
    """The moments of some of the entries. Shapes (m,) and (m, m)."""
    return Moments(mean=moments.mean[indices], covariance=moments.covariance[indices][:, indices])


def uncentred(moments: Moments) -> Moments:
    """E[hhᵀ] in the covariance's place and no mean: for a reader that has no bias to shift."""
    mean = moments.mean
    return Moments(mean=torch.zeros_like(mean), covariance=moments.covariance.addr(mean, mean))


def mixed(one: Moments, other: Moments, share: float) -> Moments:
    """The moments of a mixture: the second law with a probability, else the first.

        μ = (1 − s) μ₁ + s μ₂,        K = (1 − s) K₁ + s K₂ + s (1 − s) (μ₁ − μ₂)(μ₁ − μ₂)ᵀ

    Args:
        one: Of the first law, of dimension n.
        other: Of the second, likewise.
        share: s in [0, 1].

    Returns:
        The moments.
    """
    apart = one.mean - other.mean
    between = share * (1 - share) * torch.outer(apart, apart)
    return Moments(
        mean=torch.lerp(one.mean, other.mean, share),
        covariance=torch.lerp(one.covariance, other.covariance, share) + between,
    )


class MomentSum:
    """Empirical moments of rows that come in batches; memory O(n²) however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self.shift, self.first, self.second = (torch.zeros(0, dtype=torch.float64),) * 3

    def add(self, batch: Tensor) -> None:
        """Take in more rows. Shape (..., n)."""
        rows = batch.reshape(-1, batch.shape[-1]).double()
        if self.count == 0:
            self.shift = rows.mean(0)  # near the mean, so that squares do not cancel
            self.first = torch.zeros_like(self.shift)
            self.second = self.shift.new_zeros(len(self.shift), len(self.shift))
        centred = rows - self.shift
        self.first += centred.sum(0)
        self.second.addmm_(centred.T, centred)
        self.count += len(rows)

    def moments(self) -> Moments:
        """Mean and covariance, with divisor N, of what was added.

        Raises:
            ArgumentError: When nothing was.
        """
        if self.count == 0:
            raise ArgumentError("batches must hold at least one row, got none")
        offset = self.first / self.count
        return Moments(
            mean=self.shift + offset,
            covariance=(self.second / self.count).addr_(offset, offset, alpha=-1),
        )


class CrossSum:
    """The empirical covariance of two vectors that come in batches, row beside row."""

    def __init__(self) -> None:
        self.count = 0
        empty = torch.zeros(0, dtype=torch.float64)
        self.shifts, self.firsts, self.second = (empty, empty), (empty, empty), empty

    def add(self, left: Tensor, right: Tensor) -> None:
        """Take in more rows. Shapes (b, k) and (b, n)."""
        pair = left.double(), right.double()
        if self.count == 0:
            self.shifts = pair[0].mean(0), pair[1].mean(0)
            self.firsts = torch.zeros_like(self.shifts[0]), torch.zeros_like(self.shifts[1])
            self.second = self.shifts[0].new_zeros(len(self.shifts[0]), len(self.shifts[1]))
        a, b = (rows - shift for rows, shift in zip(pair, self.shifts, strict=True))
        self.firsts = self.firsts[0] + a.sum(0), self.firsts[1] + b.sum(0)
        self.second.addmm_(a.T, b)
        self.count += len(a)

    def mean(self) -> Tensor:
        """Of the left vector. Shape (k,)."""
        return self.shifts[0] + self.firsts[0] / self.count

    def covariance(self) -> Tensor:
        """Cov(left, right) with divisor N. Shape (k, n)."""
        a, b = (first / self.count for first in self.firsts)
        return self.second / self.count - torch.outer(a, b)
