"""How far the outputs of a pruned chain of layers can be from the original's, for every query.

Layer l computes z_l = P_l h_{l−1} + b_l and h_l = φ_l(z_l), with h_0 = x; the pruned chain keeps
the neurons S_l and computes z̃_l = P̃_l h̃_{l−1} + b̃_l, h̃_l = φ_l(z̃_l) on them. With P̃_l zero-padded
to the width of h_{l−1},

    z_l − z̃_l = [ (P_l − P̃_l) h_{l−1} + b_l − b̃_l ] + P̃_l (h_{l−1} − h̃_{l−1})    on S_l.

The first bracket is sums of the original's neurons and has a certificate of its own, over a set
that holds every h_{l−2}; the second is at most |P̃_l| L_{l−1} δ_{l−1} entry by entry, and in norm
‖P̃_l L_{l−1}‖₂ times that of the last error.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.core.certificate import certificate
from coreprune.core.elementwise import Activation
from coreprune.core.merging import merged
from coreprune.core.neuron_sums import Block, NeuronSums, neuron_sums
from coreprune.core.query_set import QuerySet, ball, box, pulled_back, reach
from coreprune.core.rounding import gamma, interval
from coreprune.core.spectral import norm_bound
from coreprune.errors import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """One layer of a chain; the last one has the identity.

    Attributes:
        points: P_l. Shape (n, d).
        bias: b_l. Shape (n,).
        activation: φ_l, with parameters for all neurons or for each of the n.
        bias_size: The magnitudes that b_l is the sum of, where more was folded into it; |b_l| when
            None. Shape (n,).
        roundings: Of a term of z_l beside those of its sum, by what was folded into the layer.
        inside: What is evaluated on the way to z_l where something was folded into the layer, as
            layers that read h_{l−1} too: it may overflow where z_l does not.
    """

    points: Tensor
    bias: Tensor
    activation: Activation
    bias_size: Tensor | None = None
    roundings: int = 0
    inside: tuple["Link", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage(Link):
    """One layer of both chains; the last one has the identity and keeps all.

    Attributes:
        kept: S_l, each once: the neuron that stands for each of the pruned chain's. Shape (m,).
        new_points: P̃_l, its columns the kept neurons of the layer before. Shape (m, d kept).
        new_bias: b̃_l. Shape (m,).
    """

    kept: Tensor
    new_points: Tensor
    new_bias: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainBound:
    """Proven for every query, in the units of the last layer's outputs.

    Attributes:
        bound: |z_L − z̃_L| entry by entry. Shape (k,).
        norm: ‖z_L − z̃_L‖₂.
        layers: The same for the kept neurons of every layer, first to last.
    """

    bound: Tensor
    norm: float
    layers: tuple[Tensor, ...]


def chain_bound(
    stages: Sequence[Stage], space: QuerySet, *, effort: float | None = None
) -> ChainBound:
    """Pass the errors of all layers on to the last one.

    Both chains are exact functions of their weights as stored; `chain_rounding` is what
    evaluating them in a short precision adds.

    Args:
        stages: From the first layer to the last.
        space: The queries of the first layer.
        effort: Seconds for each of at most two certificates a layer, as in `certificate`.

    Returns:
        The bounds; infinite past an activation that is not Lipschitz.

    Raises:
        ArgumentError: When the shapes of the stages do not fit.
    """
    _check(stages, len(space.centre))
    first = stages[0]
    change = _padded(first, torch.arange(len(space.centre)))
    delta = _linear_error(change, (first.bias[first.kept] - first.new_bias).double(), space)
    norm = float(torch.linalg.vector_norm(delta)) * (1 + gamma(len(delta) + 8))
    layers, spaces, seen = [delta], [space], first
    for before, stage in itertools.pairwise(stages):
        if before is not first:
            spaces = images(seen, spaces)
        seen = before
        sums = neuron_sums(
            [
                Block(
                    points=before.points.double(),
                    bias=before.bias.double(),
                    activation=before.activation,
                    weights=_padded(stage, before.kept),
                )
            ],
            stage.bias[stage.kept].double() - stage.new_bias.double(),
        )
        own, own_norm = _own_error(sums, spaces, effort=effort)
        passed, passed_norm = _passed_on(before, stage, (delta, norm))
        up = 1 + gamma(4 * len(delta) + 64)
        delta = (own + passed) * up
        size = float(torch.linalg.vector_norm(delta)) * up
        norm = min((own_norm + passed_norm) * up, size)
        delta = delta.clamp_max(norm)
        layers.append(delta)
    return ChainBound(bound=delta, norm=norm, layers=tuple(layers))


def _check(stages: Sequence[Stage], dimension: int) -> None:
    width, kept = dimension, dimension
    for number, stage in enumerate(stages):
        n, m = len(stage.points), len(stage.kept)
        shapes = (
            stage.points.shape,
            stage.bias.shape,
            stage.new_points.shape,
            stage.new_bias.shape,
        )
        if shapes != ((n, width), (n,), (m, kept), (m,)):
            raise ArgumentError(
                f"stage {number} must have points (n, {width}), bias (n,), new_points (m, {kept}) "
                f"and new_bias (m,), got {', '.join(str(tuple(shape)) for shape in shapes)}"
            )
        width, kept = n, m
    if not stages:
        raise ArgumentError("stages must hold at least one layer, got none")


def _padded(stage: Stage, columns: Tensor) -> Tensor:
    """P_l − P̃_l on the kept rows, P̃_l zero outside the kept columns. Shape (m, d)."""
    change = stage.points.double()[stage.kept]
    change[:, columns] -= stage.new_points.double()
    return change


def _linear_error(change: Tensor, shift: Tensor, space: QuerySet) -> Tensor:
    low, high = interval(change, shift, space)
    return torch.maximum(low.abs(), high.abs())


def _own_error(
    sums: NeuronSums, spaces: Sequence[QuerySet], *, effort: float | None
) -> tuple[Tensor, float]:
    """The best of the certificates over sets that each hold every input of the neurons."""
    found = []
    for space in spaces:
        fewer, slack = merged(sums, space)
        found.append(certificate(fewer, space, effort=effort, slack=slack))
    bound = torch.stack([one.bound for one in found]).amin(0)
    return bound, min(one.norm for one in found)


def _passed_on(before: Stage, stage: Stage, error: tuple[Tensor, float]) -> tuple[Tensor, float]:
    """What an error of z_{l−1} on S_{l−1} does to z_l: entry by entry, and in norm."""
    delta, norm = error
    lipschitz = _lipschitz(before)[before.kept]
    if torch.isinf(lipschitz).any():
        return torch.full((len(stage.kept),), torch.inf, dtype=torch.float64), math.inf
    weighted = stage.new_points.double() * lipschitz
    entries = weighted.abs() @ delta
    rows: Tensor = torch.linalg.vector_norm(weighted, dim=1)
    entries = torch.minimum(entries, rows * norm)
    if math.isinf(norm):  # past a jump, where a weight of 0 makes products with it NaN
        return entries.nan_to_num(nan=math.inf, posinf=math.inf), math.inf
    return entries, norm_bound(weighted) * norm


def _lipschitz(link: Link) -> Tensor:
    value = torch.as_tensor(link.activation.lipschitz, dtype=torch.float64)
    return value.expand(len(link.points))


def images(link: Link, spaces: Sequence[QuerySet]) -> list[QuerySet]:
    """Sets that hold every h_l: a box, and a ball around φ of the centre.

    Args:
        link: The layer.
        spaces: Sets that each hold every h_{l−1}.

    Returns:
        One or two sets.
    """
    low, high = link_interval(link, spaces)
    least, greatest = link.activation.extent(low, high)
    slack = 1e-12 * (least.abs() + greatest.abs())
    images = [box(least - slack, greatest + slack)]
    lipschitz = _lipschitz(link)
    if torch.isfinite(lipschitz).all():
        balls = [_ball_image(link, space, lipschitz) for space in spaces]
        images.append(min(balls, key=lambda one: float(one.axes[0])))
    return images


def link_interval(link: Link, spaces: Sequence[QuerySet]) -> tuple[Tensor, Tensor]:
    """An interval that holds every z_l.

    Args:
        link: The layer.
        spaces: Sets that each hold every h_{l−1}.

    Returns:
        Its low and high ends. Shapes (n,).
    """
    ends = [interval(link.points.double(), link.bias.double(), space) for space in spaces]
    low = torch.stack([end[0] for end in ends]).amax(0)
    return low, torch.stack([end[1] for end in ends]).amin(0)


def _ball_image(link: Link, space: QuerySet, lipschitz: Tensor) -> QuerySet:
    rows, shift = pulled_back(link.points.double(), link.bias.double(), space)
    side = 1.0 if space.unit == "ball" else rows.shape[1] ** 0.5
    radius = norm_bound(rows * lipschitz[:, None]) * side
    centre = link.activation(shift)
    slack = 1e-12 * float(reach(rows, space).sum() + shift.abs().sum() + centre.abs().sum())
    return ball(radius * (1 + 1e-12) + slack, centre=centre)
