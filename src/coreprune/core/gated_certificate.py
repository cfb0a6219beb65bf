"""For every query: how far weighted sums of gated neurons can be from zero.

On x = x₀ + D v, ‖v‖ ≤ 1, let a_j = ã_j·ṽ and u_j = ũ_j·ṽ with ṽ = (v, s), β̃² = 1 + s², and
φ(a) = λ a + o + κ e(a), |e(a)| ≤ |a|. The sums r_i = Σ_j γ_ij φ(a_j) u_j + γ_i0 are at most

    triangle    |γ_i0| + Σ_j |γ_ij| sup|φ(a_j)| sup|u_j|
    factored    |γ_i0| + ‖γ_i T^½‖ · min( ‖T^-½ A_φ‖₂, ‖T^-½ U_φ‖₂ ) β̃
    parted      |γ_i0| + λ √(γ_i G γ_iᵀ) β̃² + ‖γ_i O Ũ‖ β̃ + ‖γ_i T^½‖ ‖T^-½ κ diag(sup|u|) Ã‖₂ β̃,

A_φ = diag(L sup|u|) Ã where φ(0) = 0, U_φ = diag(sup|φ(a)|) Ũ, O = diag(o), and G the Gram matrix
of the quadratic forms a_j u_j, G_jl = ½ (ã_j·ã_l ũ_j·ũ_l + ã_j·ũ_l ũ_j·ã_l). For all sums together
each norm of row i becomes the spectral norm.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.gated_moments import Gate
from coreprune.core.query_set import QuerySet, pulled_back
from coreprune.core.rounding import gamma, interval
from coreprune.core.spectral import norm_bound
from coreprune.errors import ArgumentError

_AT_ONCE = 2**22


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatedCertificate:
    """Proven for every query of the space, in exact arithmetic on the weights given.

    Attributes:
        bound: |r_i(x)| ≤ bound_i. Shape (k,).
        norm: ‖r(x)‖₂ ≤ norm.
    """

    bound: Tensor
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Neurons:
    """Gated neurons over the unit ball.

    Attributes:
        a: ã_j. Shape (n, e + 1).
        u: ũ_j, likewise.
        a_defect: What rounding moves a row of a by, at most. Shape (n,).
        u_defect: Likewise.
        height: sup |φ(a_j)|. Shape (n,).
        reach: sup |u_j|. Shape (n,).
        radius: β̃.
    """

    a: Tensor
    u: Tensor
    a_defect: Tensor
    u_defect: Tensor
    height: Tensor
    reach: Tensor
    radius: float


def gated_certificate(
    gate: Gate, weights: Tensor, offsets: Tensor, *, space: QuerySet
) -> GatedCertificate:
    """Bound every sum of gated neurons over every query.

    Args:
        gate: The neurons.
        weights: γ_ij, for instance original minus pruned. Shape (k, n).
        offsets: γ_i0. Shape (k,).
        space: The queries; a ball or an ellipsoid.

    Returns:
        The best of the three bounds, rounding of their own evaluation included.

    Raises:
        ArgumentError: When the space is a box, or an activation overflows on it.

    Example:
        >>> from coreprune.core.activations import identity
        >>> from coreprune.core.query_set import ball
        >>> one, zero = torch.ones(1, 1), torch.zeros(1)
        >>> square = Gate(points=one, bias=zero, up=one, up_bias=zero, activation=identity())
        >>> found = gated_certificate(square, one, zero, space=ball(3.0, dimension=1))
        >>> round(found.bound.item(), 6)  # x² at 3
        9.0
    """
    if space.unit != "ball":
        raise ArgumentError("space must be a ball or an ellipsoid for gated neurons, got a box")
    neurons = _over(gate, space)
    if not torch.isfinite(neurons.height @ neurons.reach):
        raise ArgumentError(
            f"space must keep {gate.activation.name} finite on every query; pass a smaller one"
        )
    w, c = weights.double(), offsets.double().abs()
    triangle = w.abs() @ (neurons.height * neurons.reach)
    rows, norm = _factored(gate.activation, neurons, w)
    if (line := _line(gate.activation)) is not None:
        parted = _parted(line, neurons, w)
        rows, norm = torch.minimum(rows, parted[0]), min(norm, parted[1])
    n, d = gate.points.shape
    up = 1 + gamma(8 * (n + d + len(w)) + 64)  # every sum above is one of non-negative terms
    bound = (c + torch.minimum(triangle, rows)) * up
    own = float(torch.linalg.vector_norm(bound)), float(torch.linalg.vector_norm(c)) + norm
    return GatedCertificate(bound=bound, norm=min(own) * up)


def _over(gate: Gate, space: QuerySet) -> _Neurons:
    points, up = gate.points.double(), gate.up.double()
    a, a_shift = pulled_back(points, gate.bias.double(), space)
    u, u_shift = pulled_back(up, gate.up_bias.double(), space)
    shifts = float(torch.linalg.vector_norm(torch.cat([a_shift, u_shift])))
    rows = float(torch.linalg.vector_norm(torch.cat([a, u])))
    s = min(1.0, (shifts / rows) ** 0.5) if rows > 0 else 1.0
    low, high = interval(points, gate.bias.double(), space)
    least, greatest = interval(up, gate.up_bias.double(), space)
    unit = gamma(2 * points.shape[1] + 8)
    return _Neurons(
        a=_with_constant(a, a_shift, s),
        u=_with_constant(u, u_shift, s),
        a_defect=unit * _size(points, gate.bias, space, s=s),
        u_defect=unit * _size(up, gate.up_bias, space, s=s),
        height=gate.activation.supremum(low, high),
        reach=torch.maximum(least.abs(), greatest.abs()),
        radius=math.sqrt(1 + s * s),
    )


def _with_constant(rows: Tensor, shift: Tensor, s: float) -> Tensor:
    """(R_j, s_j / s): its product with (v, s) is R_j·v + s_j."""
    return rows if s == 0 else torch.cat([rows, shift[:, None] / s], 1)


def _size(points: Tensor, bias: Tensor, space: QuerySet, *, s: float) -> Tensor:
    """At least the norms of |p_j| |D| and of (|p_j·x₀| + |b_j|) / s together. Shape (n,)."""
    axes = space.axes if space.axes.ndim == 1 else torch.linalg.vector_norm(space.axes, dim=1)
    size = points.abs() @ axes.abs()
    constant = points.abs() @ space.centre.abs() + bias.double().abs()
    return size if s == 0 else size + constant / s


def _factored(activation: Activation, neurons: _Neurons, w: Tensor) -> tuple[Tensor, float]:
    """Rows and norm of the factored bound."""
    flat = _balanced(neurons, w, neurons.height, by="u")
    slope = torch.as_tensor(activation.lipschitz, dtype=torch.float64)
    starts_at_zero = float(activation(torch.zeros(1, dtype=torch.float64))) == 0
    if starts_at_zero and bool(torch.isfinite(slope).all()):
        steep = _balanced(neurons, w, slope * neurons.reach, by="a")
        flat = torch.minimum(flat[0], steep[0]), min(flat[1], steep[1])
    return flat


def _balanced(neurons: _Neurons, w: Tensor, scale: Tensor, *, by: str) -> tuple[Tensor, float]:
    """‖γ_i T^½‖ ‖T^-½ diag(scale) M‖₂ β̃ for M = Ã or Ũ; T makes both factors' entries alike."""
    rows, defect = (neurons.a, neurons.a_defect)
    if by == "u":
        rows, defect = (neurons.u, neurons.u_defect)
    lengths = scale * (torch.linalg.vector_norm(rows, dim=1) + defect)
    columns = torch.linalg.vector_norm(w, dim=0)
    t = torch.where((lengths > 0) & (columns > 0), lengths / columns, 1.0)
    root = t.sqrt()
    scaled = scale / root
    moved = float(torch.linalg.vector_norm(scaled * defect))
    spread = (norm_bound(scaled[:, None] * rows) + moved) * neurons.radius
    weighted = w * root
    return torch.linalg.vector_norm(weighted, dim=1) * spread, norm_bound(weighted) * spread


def _line(activation: Activation) -> tuple[float, float, float] | None:
    """|λ|, |o| and |κ| where φ is that line and a remainder with |e(z)| ≤ |z|, else None."""
    envelope = activation.envelope
    if envelope is None or not isinstance(envelope.floor, float | int) or envelope.floor > 0:
        return None
    numbers = [envelope.slope, envelope.offset, envelope.scale]
    plain = [abs(float(number)) for number in numbers if not isinstance(number, Tensor)]
    return (plain[0], plain[1], plain[2]) if len(plain) == 3 else None


def _parted(line: tuple[float, float, float], neurons: _Neurons, w: Tensor) -> tuple[Tensor, float]:
    """Rows and norm of the parted bound."""
    slope, offset, scale = line
    rows, norm = _quadratic(neurons, w)
    rows, norm = slope * rows, slope * norm
    if offset:
        moved = w.abs() @ neurons.u_defect
        linear = w @ neurons.u
        rows += offset * neurons.radius * (torch.linalg.vector_norm(linear, dim=1) + moved)
        whole = norm_bound(linear) + float(torch.linalg.vector_norm(moved))
        norm += offset * neurons.radius * whole
    if scale:
        rest = _balanced(neurons, w, scale * neurons.reach, by="a")
        rows, norm = rows + rest[0], norm + rest[1]
    return rows, norm


def _quadratic(neurons: _Neurons, w: Tensor) -> tuple[Tensor, float]:
    """√(γ_i G γ_iᵀ) β̃² and ‖Γ G Γᵀ‖₂^½ β̃², rounding included."""
    a, u = neurons.a, neurons.u
    n, e = a.shape
    form, step = w.new_zeros(len(w), len(w)), max(1, _AT_ONCE // max(1, n))
    for start in range(0, n, step):  # G itself would take n² numbers
        rows = slice(start, start + step)
        gram = (a[rows] @ a.T).mul_(u[rows] @ u.T)
        gram += (a[rows] @ u.T).mul_(u[rows] @ a.T)
        form.addmm_(w[:, rows], gram @ w.T, alpha=0.5)
    lengths = torch.linalg.vector_norm(a, dim=1), torch.linalg.vector_norm(u, dim=1)
    sizes = w.abs() @ (lengths[0] * lengths[1])
    slack = gamma(2 * e + 2 * n + 16) * sizes.square()
    moved = w.abs() @ (
        lengths[0] * neurons.u_defect
        + lengths[1] * neurons.a_defect
        + neurons.a_defect * neurons.u_defect
    )
    roots = (form.diagonal().clamp_min(0) + slack).sqrt() + moved
    largest = float(torch.linalg.eigvalsh((form + form.T) / 2)[-1].clamp_min(0))
    trace = float(form.diagonal().abs().sum())
    total = largest + float(slack.sum()) + gamma(8 * len(w) + 8) * trace
    norm = math.sqrt(total) + float(torch.linalg.vector_norm(moved))
    square = neurons.radius**2
    return roots * square, norm * square
