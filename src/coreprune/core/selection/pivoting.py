"""Greedy pivoting in blocks: the recursion that backward and forward selection share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

_BLOCK = 64
_TIE = 1e-9
"""Scores this near to the best, relatively, are ties: rounding must not choose between twins."""
_CHUNK = 2**20


@dataclass(slots=True, kw_only=True, eq=False)
class Form:
    """What one reader knows of the neurons that are still in play; pivoting changes it.

    Attributes:
        gram: Q = VᵀV of the reader's columns V. Shape (n, n).
        form: P, symmetric and positive definite. Shape (n, n).
        floor: What no P_jj can be below in exact arithmetic.
    """

    gram: Tensor
    form: Tensor
    floor: float


def pivots(
    forms: Sequence[Form], *, best: Literal["least", "greatest"], steps: int
) -> tuple[Tensor, Tensor]:
    """Take neurons one by one, always the one with the best score.

        score_j = Σ Q_jj / P_jj over the readers,  Q = VᵀV,  and after taking j, for each,
        V ← V − V_:j P_j: / P_jj,        P ← P − P_:j P_j: / P_jj

    Of V only Q is needed: with p = P_j: / P_jj and q = Q_:j − ½ Q_jj p,  Q ← Q − p qᵀ − q pᵀ. Steps
    are applied to P and Q in blocks; between blocks only the row that is taken and the scores are
    brought up to date, so no step touches all of P, and what is left moves up in the same memory.

    Args:
        forms: One a reader; used up.
        best: Which score is the best; ties go to the lower index.
        steps: How many neurons to take, between 1 and n.

    Returns:
        The neurons taken, in order, and their scores. Shapes (steps,).
    """
    device = forms[0].form.device
    alive = torch.arange(len(forms[0].form), device=device)
    taken, scores = [], []
    while steps > 0:
        positions, found = _take([_Block(f, min(_BLOCK, steps)) for f in forms], best=best)
        taken.append(alive[positions])
        scores.append(found)
        steps -= len(found)
        left = torch.ones(len(alive), dtype=torch.bool, device=device)
        left[positions] = False
        kept = left.nonzero().squeeze(1)
        alive = alive[kept]
        for f in forms:
            f.gram, f.form = without(f.gram, kept), without(f.form, kept)
    return torch.cat(taken), torch.cat(scores)


def first_best(ranked: Tensor) -> int:
    """Where the least value stands; ties to rounding go to the lower index."""
    least = ranked.min()
    return int((ranked <= least + _TIE * least.abs()).byte().argmax())


def _take(blocks: Sequence["_Block"], *, best: str) -> tuple[Tensor, Tensor]:
    """Take as many neurons as the blocks have room for; their positions and scores in order."""
    closed = torch.zeros_like(blocks[0].diagonal, dtype=torch.bool)
    sign = 1 if best == "least" else -1
    positions, scores = [], []
    for _ in range(len(blocks[0].pivots)):
        total = blocks[0].scores()
        for block in blocks[1:]:
            total += block.scores()
        j = first_best((sign * total).masked_fill_(closed, torch.inf))
        positions.append(j)
        scores.append(total[j])
        closed[j] = True
        for block in blocks:
            block.take(j)
    for block in blocks:
        block.apply()
    return torch.tensor(positions, device=closed.device), torch.stack(scores)


class _Block:
    """Some steps on one reader's P and Q, applied together at the end."""

    def __init__(self, form: Form, steps: int) -> None:
        self.gram, self.form, self.floor = form.gram, form.form, form.floor
        self.diagonal, self.norms = self.form.diagonal().clone(), self.gram.diagonal().clone()
        self.done = 0
        self.pivots = self.form.new_empty(steps)  # P_jj at the time of each step
        self.ratios = self.form.new_empty(steps, len(self.form))  # p
        self.halves = self.form.new_empty(steps, len(self.form))  # q

    def scores(self) -> Tensor:
        """Q_jj / P_jj, of no meaning where j is taken. Shape (n,)."""
        return self.norms.clamp_min(0).div_(self.diagonal.clamp_min(self.floor))

    def take(self, j: int) -> None:
        """Bring the diagonals up to date with the loss of neuron j."""
        p, q = self.ratios[: self.done], self.halves[: self.done]
        row = self.form[j] - (self.pivots[: self.done] * p[:, j]) @ p
        overlap = self.gram[j] - p[:, j] @ q - q[:, j] @ p
        pivot = row[j].clamp_min(self.floor)
        ratio = row / pivot
        half = overlap - overlap[j] / 2 * ratio
        self.norms.addcmul_(ratio, half, value=-2)
        self.diagonal.addcmul_(ratio, row, value=-1)
        self.pivots[self.done], self.ratios[self.done], self.halves[self.done] = pivot, ratio, half
        self.done += 1

    def apply(self) -> None:
        """Carry the steps out on P and Q in place."""
        self.form.addmm_((self.pivots[:, None] * self.ratios).T, self.ratios, alpha=-1)
        self.gram.addmm_(self.ratios.T, self.halves, alpha=-1)
        self.gram.addmm_(self.halves.T, self.ratios, alpha=-1)


def without(matrix: Tensor, kept: Tensor) -> Tensor:
    """Some rows and columns of a square matrix, moved to the front of the matrix's own memory.

    Args:
        matrix: Contiguous; overwritten. Shape (n, n).
        kept: Which stay, sorted. Shape (m,).

    Returns:
        What is left. Shape (m, m).
    """
    flat, size = matrix.view(-1), len(kept)
    rows = max(1, _CHUNK // max(1, len(matrix)))
    for start in range(0, size, rows):
        # Row i of the small matrix ends before row kept[i] of the large one: no unread row is lost.
        chunk = matrix.index_select(0, kept[start : start + rows]).index_select(1, kept)
        flat[start * size : start * size + chunk.numel()] = chunk.view(-1)
    return flat[: size * size].view(size, size)
