"""Neurons as lines and remainders, as many as can in one form.

Sums of neurons in one form can have a smaller bound than sums of the smallest forms: what is known
of all remainders together, such as the norm of y, serves the neurons of one form best.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.remainders import Forms, Remainders, picked, smallest, width

COMMON = "envelope", "cone", "chord"
"""The forms that are tried for all neurons. All in the form *range* are the triangle's bound, and
whoever can take *side* has."""


def uniform_remainders(blocks: Sequence[Forms]) -> dict[str, Remainders]:
    """One form for all neurons of which it is finite, the smallest for the others.

    Args:
        blocks: The forms that compete, as `forms_of` gives them.

    Returns:
        The lines and remainders by the form, for those that not all neurons take that could.
    """
    choices = [smallest(forms) for forms in blocks]
    found = {}
    for name in COMMON:
        moved = list(map(_moved, [name] * len(blocks), blocks, choices))
        if not all(map(torch.equal, moved, choices)):
            found[name] = picked(blocks, moved)
    return found


def _moved(name: str, forms: Forms, choice: Tensor) -> Tensor:
    """The places of the neurons' forms, with one for all that can take it. Shape (n,)."""
    if name not in forms:
        return choice
    return torch.where(width(forms[name]).isfinite(), [*forms].index(name), choice)
