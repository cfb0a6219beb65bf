"""Queries around which two networks provably give the same class.

With D_c the rows e_c − e_i for all i ≠ c, D_c z_L are the margins of class c. Where on a ball
around x every margin of the original stays above what it can differ by from the other network's,

    inf D_c z_L > sup |D_c z_L − D_c z̃_L|     entry by entry,

both have all margins positive, so c is the class of both on the whole ball; so it is where those of
each stay positive by its own range. All are bounds of chains whose last layer is D_c P_L. Networks
that run in a short precision give c where the margins also exceed what that moves two outputs by.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from coreprune.core.chain import Link, Stage, chain_bound
from coreprune.core.chain_range import chain_range, preactivations
from coreprune.core.chain_rounding import chain_rounding
from coreprune.core.elementwise import Activation
from coreprune.core.matching import matched
from coreprune.core.query_set import QuerySet, ball

RISING = frozenset({
    "identity", "leaky_relu", "sigmoid", "tanh", "softplus", "elu", "celu", "selu"
})  # fmt: skip
"""Activations that rise everywhere, where their own numbers allow it."""


def keeps_order(ending: Activation, *, outputs: int) -> bool:
    """Whether a function behind the last layer leaves the largest output the largest.

    Args:
        ending: Applied to all outputs.
        outputs: Their number.

    Returns:
        Whether it rises, and is one function for all outputs.

    Example:
        >>> from coreprune.core.activations import gelu, sigmoid
        >>> keeps_order(sigmoid(), outputs=3), keeps_order(gelu(), outputs=3)
        (True, False)
    """
    values = ending(torch.linspace(-8, 8, 65, dtype=torch.float64)[:, None].repeat(1, outputs))
    return (
        RISING.issuperset(stage.name for stage in ending.stages or (ending,))
        and bool((values.diff(dim=0) > 0).all())
        and bool((values == values[:, :1]).all())
    )


def decided(
    original: Sequence[Link],
    other: Sequence[Link],
    samples: Tensor,
    *,
    radius: float,
    generator: Generator,
    precisions: tuple[torch.dtype, torch.dtype] | None = None,
) -> Tensor:
    """Whether the class is proven the same everywhere within the radius of each sample.

    Args:
        original: Layers, first to last; the class is the largest of at least two outputs.
        other: Likewise.
        samples: Shape (N, d).
        radius: ρ ≥ 0.
        generator: For the probes that match neurons.
        precisions: What the two run in, exactly when None.

    Returns:
        One flag a sample. Shape (N,).
    """
    samples = samples.double()
    classes = preactivations(original, samples)[-1].argmax(1).tolist()
    around = _around(samples, radius)
    stages = matched(original, other, around, generator=generator)
    moved = _moved((original, other), around, precisions)
    pairs = {
        winner: _Margins(
            original=_margins(original, winner),
            other=_margins(other, winner),
            stages=None if stages is None else _stage_margins(stages, winner),
            moved=tuple(_pairwise(one, winner) for one in moved),
        )
        for winner in set(classes)
    }
    flags = [
        _is_decided(pairs[winner], ball(radius, centre=x))
        for x, winner in zip(samples, classes, strict=True)
    ]
    return torch.tensor(flags, dtype=torch.bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Margins:
    """Both chains with the margins of one class for outputs, and the match if there is one.

    What rounding moves their margins by is in `moved`.
    """

    original: Sequence[Link]
    other: Sequence[Link]
    stages: Sequence[Stage] | None
    moved: tuple[Tensor, ...]


def _around(samples: Tensor, radius: float) -> QuerySet:
    """A ball that holds all samples with what is within the radius."""
    middle = samples.mean(0)
    reach: Tensor = torch.linalg.vector_norm(samples - middle, dim=1)
    return ball(float(reach.amax()) + radius, centre=middle)


def _moved(
    pair: tuple[Sequence[Link], Sequence[Link]],
    around: QuerySet,
    precisions: tuple[torch.dtype, torch.dtype] | None,
) -> list[Tensor]:
    """What rounding moves the outputs of both chains by. Shapes (k,)."""
    if precisions is None:
        return [torch.zeros(len(links[-1].points), dtype=torch.float64) for links in pair]
    both = zip(pair, precisions, strict=True)
    return [chain_rounding(links, around, dtype=dtype).layers[-1] for links, dtype in both]


def _pairwise(moved: Tensor, winner: int) -> Tensor:
    """What differences from the winner's output move by. Shape (k − 1,)."""
    return moved[winner] + torch.cat([moved[:winner], moved[winner + 1 :]])


def _is_decided(pair: _Margins, space: QuerySet) -> bool:
    low, _ = chain_range(pair.original, space, effort=0.0)
    own, more = pair.moved
    slack = _rounding(pair.original, space.centre)
    if not (low > own + slack).all():
        return False  # whatever the other network does
    other_low, _ = chain_range(pair.other, space, effort=0.0)
    if (other_low > more + _rounding(pair.other, space.centre)).all():
        return True  # it has the class by itself, however far apart the two are
    if pair.stages is None:
        return False  # from ranges alone follows no more than that
    bound = chain_bound(pair.stages, space, effort=0.0).bound
    return bool((low > torch.maximum(own, bound + more) + slack).all())


def _stage_margins(stages: Sequence[Stage], winner: int) -> list[Stage]:
    last = stages[-1]
    rows, bias = _contrast(last.points, last.bias, winner)
    new_rows, new_bias = _contrast(last.new_points, last.new_bias, winner)
    changed = replace(
        last,
        points=rows,
        bias=bias,
        kept=torch.arange(len(rows)),
        new_points=new_rows,
        new_bias=new_bias,
    )
    return [*stages[:-1], changed]


def _margins(links: Sequence[Link], winner: int) -> list[Link]:
    rows, bias = _contrast(links[-1].points, links[-1].bias, winner)
    return [*links[:-1], replace(links[-1], points=rows, bias=bias)]


def _contrast(points: Tensor, bias: Tensor, winner: int) -> tuple[Tensor, Tensor]:
    """D_c P and D_c b. Shapes (k − 1, d) and (k − 1,)."""
    others = [row for row in range(len(points)) if row != winner]
    points, bias = points.double(), bias.double()
    return points[winner] - points[others], bias[winner] - bias[others]


def _rounding(links: Sequence[Link], x: Tensor) -> Tensor:
    """Above what forming the differences of rows can have rounded."""
    size = links[-1].points.abs().sum(1) + links[-1].bias.abs()
    return 1e-9 * size * (1 + x.abs().sum())
