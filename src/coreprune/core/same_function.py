"""Whether two activations are one function, as far as evaluating both tells."""

from collections.abc import Iterator

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.rounding import ACTIVATION_UNITS, UNIT


def same_function(one: Activation, other: Activation, *, width: int, kept: Tensor) -> bool:
    """Whether φ of the kept neurons is the other's φ: by name, at all sizes and at kinks.

    Values may differ by the rounding of both: one function among other neurons may round
    otherwise.

    Args:
        one: φ of n neurons.
        other: Of m neurons.
        width: n.
        kept: Which of the n the m are. Shape (m,).

    Returns:
        Whether no point tells them apart.

    Example:
        >>> from coreprune.core.activations import hardtanh
        >>> three = torch.arange(3)
        >>> same_function(hardtanh(-5000, 5000), hardtanh(-6000, 6000), width=3, kept=three)
        False
    """
    pairs = kept, torch.arange(len(kept))
    return bool(alike(one, other, widths=(width, len(kept)), pairs=pairs).all())


def alike(
    one: Activation, other: Activation, *, widths: tuple[int, int], pairs: tuple[Tensor, Tensor]
) -> Tensor:
    """Which neurons have one function; arguments and meaning as in `same_function`.

    Args:
        one: φ of n neurons.
        other: Of m neurons.
        widths: n and m.
        pairs: Neurons of the one and of the other that are compared, each once. Shapes (p,).

    Returns:
        One flag a pair. Shape (p,).
    """
    rows, columns = pairs
    if one.name != other.name:
        return torch.zeros(len(rows), dtype=torch.bool)
    wide = torch.stack(list(_points(one, other, widths=widths, pairs=pairs)))
    z = wide[:, rows]
    narrow = wide.new_zeros(len(wide), widths[1])
    narrow[:, columns] = z
    left, right = one(wide)[:, rows], other(narrow)[:, columns]
    slack = 2 * ACTIVATION_UNITS * UNIT * (z.abs() + right.abs())
    return ((left - right).abs() <= slack).all(0)


def _points(
    one: Activation, other: Activation, *, widths: tuple[int, int], pairs: tuple[Tensor, Tensor]
) -> Iterator[Tensor]:
    """What both are evaluated at, as the one takes it. Shapes (n,)."""
    width = widths[0]
    near = torch.linspace(-12, 12, 97, dtype=torch.float64)
    # Beyond the last kink, wherever that is, two clamps differ everywhere.
    powers = torch.exp2(torch.cat([near, torch.arange(13, 64, dtype=torch.float64)]))
    for value in (0.0, *powers.tolist(), *(-powers).tolist()):
        yield torch.full((width,), value, dtype=torch.float64)
    for place in one.breakpoints:
        yield torch.as_tensor(place, dtype=torch.float64).expand(width)
    for place in other.breakpoints:
        row = torch.zeros(width, dtype=torch.float64)
        row[pairs[0]] = torch.as_tensor(place, dtype=torch.float64).expand(widths[1])[pairs[1]]
        yield row
