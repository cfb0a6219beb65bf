"""Neurons over the unit set as lines and remainders, each in the form that is smallest there.

    φ_j(z_j) = a_j z_j + o_j + κ_j e_j,   z_j = R_j·v + s_j,   y_j = R_j·v + s_j − m_j

    max(−floor, |y| − gap) ≤ e ≤ min(|y|, ceiling),   e ≥ −|y| where odd,   |y| unused where flat

Five forms compete, and each neuron takes the one whose κ(sup e − inf e) is smallest, counted three
times where e is flat, because flat remainders add up as if all met at one query:

- *envelope*: the line and remainder of its activation, m = 0; only for activations with a gap;
- *side*: where e = |z| and z keeps its sign on the whole set, a line alone;
- *cone*: φ(s_j) and a Lipschitz cone around it, m = s_j, cut at the range of φ;
- *chord*: the line through the ends, and how far φ strays from it, cell by cell;
- *range*: the middle of φ's range, and nothing known but the half-range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation, Envelope
from coreprune.core.neuron_sums import Block, NeuronSums
from coreprune.core.query_set import QuerySet, pulled_back
from coreprune.core.rounding import interval

_CELLS, _FLAT = 256, 3.0

_SHARED = "rows", "shift", "lipschitz", "least", "greatest", "weights"
"""What the forms of a neuron have in common."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Remainders:
    """n neurons; every tensor has shape (n,) but rows, (n, e), and weights, (k, n).

    Attributes:
        rows: R_j.
        shift: s_j.
        centre: m_j.
        low: A lower end of z_j − m_j.
        high: An upper end of it.
        slope: a_j.
        offset: o_j.
        scale: κ_j.
        floor: e ≥ −floor.
        ceiling: e ≤ ceiling.
        gap: e ≥ |y| − gap.
        flat: Whether e ≤ |y| is not known.
        odd: Whether e ≥ −|y|.
        lipschitz: L_j.
        least: A lower bound of φ_j.
        greatest: An upper bound of φ_j.
        weights: γ_ij.
    """

    rows: Tensor
    shift: Tensor
    centre: Tensor
    low: Tensor
    high: Tensor
    slope: Tensor
    offset: Tensor
    scale: Tensor
    floor: Tensor
    ceiling: Tensor
    gap: Tensor
    flat: Tensor
    odd: Tensor
    lipschitz: Tensor
    least: Tensor
    greatest: Tensor
    weights: Tensor


Forms = Mapping[str, Remainders]
"""All neurons of a block in every form, by its name, those with the most structure first."""


def forms_of(sums: NeuronSums, space: QuerySet) -> tuple[Forms, ...]:
    """The neurons of every block in every form.

    Args:
        sums: The sums in float64.
        space: The queries.

    Returns:
        The forms, block by block.
    """
    return tuple(_forms(block, space) for block in sums.blocks)


def remainders(blocks: Sequence[Forms]) -> Remainders:
    """Each neuron in its smallest form.

    Args:
        blocks: The forms that compete, as `forms_of` gives them.

    Returns:
        The lines and remainders of all blocks, one after the other.
    """
    return picked(blocks, [smallest(forms) for forms in blocks])


def smallest(forms: Forms) -> Tensor:
    """Of each neuron of a block the place of its smallest form, of equals the first. Shape (n,)."""
    widths = torch.stack([width(form) for form in forms.values()])
    return (widths <= widths.amin(0) * (1 + 1e-9)).int().argmax(0)


def picked(blocks: Sequence[Forms], choices: Sequence[Tensor]) -> Remainders:
    """Each neuron in the form of its own.

    Args:
        blocks: The forms that compete.
        choices: The place of each neuron's form among those of its block. Shapes (n,).

    Returns:
        The neurons of all blocks, one after the other.
    """
    parts = list(map(_picked, blocks, choices))
    joined = {
        field.name: torch.cat(
            [getattr(part, field.name) for part in parts], dim=1 if field.name == "weights" else 0
        )
        for field in fields(Remainders)
    }
    return Remainders(**joined)


def remainder_ends(neurons: Remainders) -> tuple[Tensor, Tensor]:
    """The least and the greatest value that e_j can take on the set. Shapes (n,)."""
    largest = torch.maximum(neurons.low.abs(), neurons.high.abs())
    smallest = torch.maximum(neurons.low, -neurons.high).clamp_min(0)
    top = torch.where(neurons.flat, neurons.ceiling, torch.minimum(largest, neurons.ceiling))
    bottom = torch.maximum(-neurons.floor, smallest - neurons.gap)
    return torch.where(neurons.odd, torch.maximum(bottom, -largest), bottom), top


def width(neurons: Remainders) -> Tensor:
    """How much κ e varies, flat remainders counted three times; infinite or not. Shape (n,)."""
    bottom, top = remainder_ends(neurons)
    varied = torch.where(neurons.scale == 0, 0.0, neurons.scale.abs() * (top - bottom))
    return torch.where(neurons.flat, _FLAT * varied, varied).nan_to_num(nan=torch.inf)


def _forms(block: Block, space: QuerySet) -> Forms:
    rows, shift = pulled_back(block.points, block.bias, space)
    low, high = interval(block.points, block.bias, space)
    least, greatest = block.activation.extent(low, high)
    lipschitz = _wide(block.activation.lipschitz, shift).expand_as(shift)
    known = {
        "rows": rows,
        "shift": shift,
        "lipschitz": lipschitz,
        "least": least,
        "greatest": greatest,
        "weights": block.weights,
    }
    values = (least, block.activation(shift).clamp(least, greatest), greatest)
    forms = {}
    if (line := block.activation.envelope) is not None:
        forms = {"envelope": _envelope(low, high, line), "side": _side(low, high, line)}
    forms |= {
        "cone": _cone((low - shift, high - shift), values, centre=shift, lipschitz=lipschitz),
        "chord": _chord(low, high, block.activation),
        "range": _range(low, high, values),
    }
    return {name: Remainders(**known, **form) for name, form in forms.items()}


def _picked(forms: Forms, choice: Tensor) -> Remainders:
    """The neurons of one block, each in the form of its own."""
    names = [field.name for field in fields(Remainders) if field.name not in _SHARED]
    first, *others = forms.values()
    each = {name: [getattr(form, name) for form in (first, *others)] for name in names}
    own = {name: torch.stack(values).gather(0, choice[None])[0] for name, values in each.items()}
    return replace(first, **own)


def _filled(low: Tensor, high: Tensor, **values: Tensor | float | bool) -> dict[str, Tensor]:
    """A form with all its entries: those not given do not help."""
    defaults: dict[str, Tensor | float | bool] = {
        "centre": 0.0,
        "low": low,
        "high": high,
        "slope": 0.0,
        "floor": torch.inf,
        "ceiling": torch.inf,
        "gap": torch.inf,
        "flat": False,
        "odd": False,
    }
    return {
        name: (
            torch.as_tensor(value, device=low.device)
            if name in {"flat", "odd"}
            else _wide(value, low)
        ).expand_as(low)
        for name, value in (defaults | values).items()
    }


def _wide(value: Tensor | float | bool, like: Tensor) -> Tensor:
    """In float64 without passing through torch's default precision."""
    return torch.as_tensor(value, dtype=torch.float64, device=like.device)


def _envelope(low: Tensor, high: Tensor, line: Envelope) -> dict[str, Tensor]:
    """The family's own form; without a gap the cone is never worse, so it stands aside."""
    scale = _wide(line.scale, low)
    without = torch.isinf(_wide(line.gap, low)) & (scale != 0)
    return _filled(
        low,
        high,
        slope=_wide(line.slope, low),
        offset=_wide(line.offset, low),
        scale=scale,
        floor=torch.where(without, torch.inf, _wide(line.floor, low)),
        ceiling=torch.where(without, torch.inf, _wide(line.ceiling, low)),
        gap=_wide(line.gap, low),
    )


def _side(low: Tensor, high: Tensor, line: Envelope) -> dict[str, Tensor]:
    """Where z ≥ 0 or z ≤ 0 throughout and e = |z|: the line (a ± κ) z + o and nothing else."""
    sign = torch.where(low >= 0, 1.0, torch.where(high <= 0, -1.0, 0.0)).to(low)
    exact = (sign != 0) & (_wide(line.gap, low) == 0)
    return _filled(
        low,
        high,
        slope=_wide(line.slope, low) + _wide(line.scale, low) * sign,
        offset=_wide(line.offset, low),
        scale=torch.where(exact, 0.0, 1.0).to(low),
        flat=True,
    )


def _cone(
    ends: tuple[Tensor, Tensor],
    values: tuple[Tensor, Tensor, Tensor],
    *,
    centre: Tensor,
    lipschitz: Tensor,
) -> dict[str, Tensor]:
    """|φ(z) − φ(s)| ≤ L|z − s|, and φ within its range."""
    least, at_centre, greatest = values
    usable = torch.isfinite(lipschitz) & (lipschitz > 0)
    scale = torch.where(usable, lipschitz, 1.0)
    return _filled(
        *ends,
        centre=centre,
        offset=at_centre,
        scale=scale,
        floor=torch.where(usable | (lipschitz == 0), (at_centre - least) / scale, torch.inf),
        ceiling=torch.where(usable | (lipschitz == 0), (greatest - at_centre) / scale, torch.inf),
        odd=usable,
        flat=~usable,
    )


def _chord(low: Tensor, high: Tensor, activation: Activation) -> dict[str, Tensor]:
    """φ(z) − a z by its range on small cells: [least − max a z, greatest − min a z] on each."""
    share = torch.linspace(0, 1, _CELLS + 1, dtype=low.dtype, device=low.device)[:, None]
    edges = torch.cat([low[None], low + share[1:-1] * (high - low), high[None]])
    # Rounding must not leave a gap between cells, nor turn one around.
    edges = edges.clamp(low, high).cummax(0).values
    least, greatest = activation.extent(edges[:-1], edges[1:])
    ends = activation(torch.stack([low, high]))
    slope = ((ends[1] - ends[0]) / (high - low)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    line = slope * edges
    below = (least - torch.maximum(line[:-1], line[1:])).amin(0)
    above = (greatest - torch.minimum(line[:-1], line[1:])).amax(0)
    return _filled(
        low,
        high,
        slope=slope,
        offset=below / 2 + above / 2,
        scale=above / 2 - below / 2,
        floor=1.0,
        ceiling=1.0,
        flat=True,
    )


def _range(low: Tensor, high: Tensor, values: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    """φ = middle ± half-range."""
    least, _, greatest = values
    return _filled(
        low,
        high,
        offset=least / 2 + greatest / 2,
        scale=greatest / 2 - least / 2,
        floor=1.0,
        ceiling=1.0,
        flat=True,
    )
