"""Greedy pivoting on channels: the recursion of backward and forward selection, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from coreprune.core.selection.blocks import (
    block_scores,
    column_grams,
    step_squares,
    whiteners,
)
from coreprune.core.selection.pivoting import first_best, without
from coreprune.core.taps import columns, diagonal_blocks

_WAITING = 128


@dataclass(slots=True, kw_only=True, eq=False)
class BlockForm:
    """What one reader knows of the neurons that are still in play; pivoting changes it.

    Attributes:
        columns: Vᵀ, a column of V in a row. Shape (n T, k).
        form: P, symmetric and positive definite. Shape (n T, n T).
        taps: T.
        floor: What no eigenvalue of a P_JJ is below in exact arithmetic.
    """

    columns: Tensor
    form: Tensor
    taps: int
    floor: float


def block_pivots(
    forms: Sequence[BlockForm], *, best: Literal["least", "greatest"], steps: int
) -> tuple[Tensor, Tensor]:
    """Take neurons one by one, each with all its columns J, always the one with the best score.

        score_J = Σ tr(V_JᵀV_J P_JJ⁻¹) over the readers,  and after taking J, for each,
        V ← V − V_J P_JJ⁻¹ P_J: ,        P ← P − P_:J P_JJ⁻¹ P_J:

    Steps on P wait until they make up a matrix product; until then only the rows that are taken and
    the blocks on the diagonal are brought up to date. Rows and columns of what was taken are
    given up at every product, in the same memory.

    Args:
        forms: One a reader; used up.
        best: Which score is the best; ties go to the lower index.
        steps: How many neurons to take, between 1 and n.

    Returns:
        The neurons taken, in order, and their scores. Shapes (steps,).
    """
    device = forms[0].form.device
    alive = torch.arange(len(forms[0].form) // forms[0].taps, device=device)
    at_once = max(1, _WAITING // max(f.taps for f in forms))
    taken, scores = [], []
    while steps > 0:
        positions, found = _take([_Waiting(f, min(at_once, steps)) for f in forms], best=best)
        taken.append(alive[positions])
        scores.append(found)
        steps -= len(found)
        alive = alive[_others(positions, len(alive))]
    return torch.cat(taken), torch.cat(scores)


def _take(readers: Sequence["_Waiting"], *, best: str) -> tuple[Tensor, Tensor]:
    """Take as many neurons as may wait; their positions and scores in order."""
    closed = torch.zeros(len(readers[0].pivots), dtype=torch.bool, device=readers[0].pivots.device)
    sign = 1 if best == "least" else -1
    positions, scores = [], []
    for _ in range(readers[0].room):
        total = torch.stack([reader.scores() for reader in readers]).sum(0)
        j = first_best((sign * total).masked_fill_(closed, torch.inf))
        positions.append(j)
        scores.append(total[j])
        closed[j] = True
        for reader in readers:
            reader.take(j)
    where = torch.tensor(positions, device=closed.device)
    for reader in readers:
        reader.apply(where)
    return where, torch.stack(scores)


class _Waiting:
    """Some steps on one reader's neurons; those on P are applied together at the end."""

    def __init__(self, form: BlockForm, room: int) -> None:
        self.source, self.room = form, room
        self.pivots = diagonal_blocks(form.form, form.taps)  # P_jj
        self.whitening = torch.empty_like(self.pivots)
        self.done = 0
        self.steps = form.form.new_empty(room * form.taps, len(form.form))  # Y below Y

    def scores(self) -> Tensor:
        """tr(V_jᵀV_j P_jj⁻¹), of no meaning where j is taken. Shape (n,)."""
        self.whitening = whiteners(self.pivots, self.source.floor)
        return block_scores(column_grams(self.source.columns, self.source.taps), self.whitening)

    def take(self, j: int) -> None:
        """Bring V and the blocks on the diagonal of P up to date with the loss of neuron j."""
        taps, source = self.source.taps, self.source
        own, new = slice(j * taps, (j + 1) * taps), slice(self.done, self.done + taps)
        y = self.steps[: self.done]
        whitening = self.whitening[j]
        step = whitening @ torch.addmm(source.form[own], y[:, own].T, y, alpha=-1)
        source.columns.addmm_(step.T, whitening @ source.columns[own], alpha=-1)
        self.pivots -= step_squares(step, taps)
        self.pivots[j] = torch.eye(taps, dtype=step.dtype, device=step.device)  # nothing is left
        self.steps[new] = step
        self.done += taps

    def apply(self, positions: Tensor) -> None:
        """Give up the neurons taken and carry the steps out on what is left of P."""
        source = self.source
        left = columns(_others(positions, len(self.pivots)), source.taps)
        steps = self.steps[:, left]
        source.form = without(source.form, left)
        source.form.addmm_(steps.T, steps, alpha=-1)
        source.columns = source.columns[left]


def _others(positions: Tensor, count: int) -> Tensor:
    """Which of so many positions are not among these, in order."""
    left = torch.ones(count, dtype=torch.bool, device=positions.device)
    left[positions] = False
    return left.nonzero().squeeze(1)
