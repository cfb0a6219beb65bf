"""What of a layer can go without a loss: neurons that are constant, unread, or told by others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from coreprune.core.parallel import Reading, multiples
from coreprune.core.query_set import ball
from coreprune.core.rounding import gamma, interval
from coreprune.core.spectral import norm_bound
from coreprune.core.subset import WeightedSubset, reweighted

Reason = Literal["dead", "constant", "duplicate", "collinear", "unread"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Removal:
    """A layer without the neurons that it does not need.

    Attributes:
        subsets: What each reader reads afterwards; their indices are the same.
        reasons: Why a neuron went, by its index.
    """

    subsets: tuple[WeightedSubset, ...]
    reasons: Mapping[int, Reason]


def remove_lossless(readings: Sequence[Reading], *, query_radius: float) -> Removal:
    """Remove the neurons without which every reader gets the same for all ‖x‖ ≤ β, to rounding.

    A neuron goes when, for every reader, one of these holds:

        w_ij = 0 for all i                                             "unread"
        φ_j is one value v_j on [b_j − β‖p_j‖, b_j + β‖p_j‖]           "dead" if v_j = 0, "constant"
            c_i gains w_ij v_j
        φ_j(p_j·x + b_j) = c φ_i(p_i·x + b_i) + o  (`multiples`)       "duplicate", "collinear"
            w_·i gains c w_·j, c_i gains w_ij o

    Values count as one when they differ by no more than the rounding eps of the stored type,
    relative to their size. Nothing is folded into a bias that is not the reader's own. At least
    one neuron stays.

    Args:
        readings: The layer as each of its readers sees it; at least one.
        query_radius: β ≥ 0; infinity when nothing is known of x, and then a constant neuron is one
            with p_j = 0.

    Returns:
        The removal.

    Example:
        >>> from coreprune.core.activations import relu
        >>> reading = Reading(
        ...     points=torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]),
        ...     bias=torch.tensor([1.0, 2.0, -5.0]),
        ...     activation=relu(),
        ...     weights=torch.tensor([[10.0, 1.0, 3.0]]),
        ...     parameters=torch.zeros(3, 0),
        ...     free_bias=True,
        ...     eps=2.0**-23,
        ... )
        >>> removal = remove_lossless([reading], query_radius=2.0)
        >>> removal.reasons, removal.subsets[0].weights.tolist()
        ({2: 'dead', 0: 'collinear'}, [[6.0]])
    """
    count = len(readings[0].points)
    values = torch.stack([_values(reading, query_radius=query_radius) for reading in readings])
    reasons = _needless(readings, values)
    weights = [reading.weights.to(torch.float64, copy=True) for reading in readings]
    gone = list(reasons)
    shifts = [  # NaN: unread here
        weight[:, gone] @ own[gone].nan_to_num(0.0)
        for weight, own in zip(weights, values, strict=True)
    ]
    rest = [j for j in range(count) if j not in reasons]
    for found in multiples(readings, torch.tensor(rest, device=readings[0].points.device)):
        for weight, shift, factor, constant in zip(
            weights, shifts, found.factors, found.constants, strict=True
        ):
            shift += constant * weight[:, found.neuron]
            weight[:, found.of] += factor * weight[:, found.neuron]
        equal = all(factor == 1 for factor in found.factors) and not any(found.constants)
        reasons[found.neuron] = "duplicate" if equal else "collinear"
    rest = [j for j in range(count) if j not in reasons]
    stored = [weight.to(reading.weights) for weight, reading in zip(weights, readings, strict=True)]
    read = torch.stack([weight.any(0) for weight in stored]).any(0)  # merged weights may cancel
    stay = [j for j in rest if read[j]] or rest[:1]
    reasons |= dict.fromkeys(sorted({*rest} - {*stay}), "unread")
    kept = torch.tensor(stay)
    return Removal(
        subsets=tuple(
            replace(reweighted(weight, kept), bias_shift=shift)
            for weight, shift in zip(stored, shifts, strict=True)
        ),
        reasons=reasons,
    )


def _needless(readings: Sequence[Reading], values: Tensor) -> dict[int, Reason]:
    """The neurons that are constant or unread for every reader, but for one that stays."""
    zero = torch.stack([~reading.weights.any(0) for reading in readings])
    bound = torch.tensor([[not reading.free_bias] for reading in readings], device=zero.device)
    goes = (zero | (values == 0) | (values.isfinite() & ~bound)).all(0)
    if goes.all():
        goes[0] = False
    dead = (zero | (values == 0)).all(0)
    reasons: dict[int, Reason] = {}
    for j in goes.nonzero().flatten().tolist():
        reasons[j] = "unread" if zero[:, j].all() else "dead" if dead[j] else "constant"
    return reasons


def _values(reading: Reading, *, query_radius: float) -> Tensor:
    """v_j where φ_j is one value on the ball, NaN where it is not. Shape (n,)."""
    points, bias = reading.points.double(), reading.bias.double()
    low, high = _ends(points, bias, query_radius)
    still = ~points.any(1)
    low, high = torch.where(still, bias, low), torch.where(still, bias, high)
    least, greatest = reading.activation.extent(low, high)
    size = torch.maximum(least.abs(), greatest.abs())
    one = size.isfinite() & (greatest - least <= reading.eps * size)
    return torch.where(one, (least + greatest) / 2, math.nan)


def largest_output(reading: Reading, *, query_radius: float) -> float:
    """A bound of ‖φ(P x + b)‖ for all ‖x‖ ≤ β, to rounding.

        min( √Σ_j sup |φ_j|²,  ‖φ(b)‖ + max_j L_j · σ_max(P) β )

    Args:
        reading: The layer.
        query_radius: β ≥ 0; infinity gives the bound for all x.

    Returns:
        The bound; infinite where there is none.
    """
    points, bias, activation = reading.points.double(), reading.bias.double(), reading.activation
    low, high = _ends(points, bias, query_radius)
    by_neuron = float(torch.linalg.vector_norm(activation.supremum(low, high)))
    steepest = float(torch.as_tensor(activation.lipschitz, dtype=torch.float64).amax())
    by_norm = math.inf
    if math.isfinite(steepest) and math.isfinite(query_radius):
        rest = float(torch.linalg.vector_norm(activation(bias)))
        by_norm = rest + steepest * norm_bound(points) * query_radius
    bounds = [bound for bound in (by_neuron, by_norm) if not math.isnan(bound)]
    return min(bounds, default=math.inf) * (1 + gamma(2 * len(points) + 64))


def _ends(points: Tensor, bias: Tensor, query_radius: float) -> tuple[Tensor, Tensor]:
    """An interval that holds p_j·x + b_j for all ‖x‖ ≤ β. Shapes (n,)."""
    if not math.isfinite(query_radius):
        return bias - math.inf, bias + math.inf
    return interval(points, bias, ball(query_radius, centre=torch.zeros_like(points[0])))
