"""Swaps of channels: exchange one that stays for one that goes while the error falls."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import factored, inverse_of
from coreprune.core.selection.block_paths import BlockView
from coreprune.core.selection.blocks import (
    block_scores,
    column_grams,
    reduced,
    step_squares,
    whiteners,
)
from coreprune.core.taps import columns, diagonal_blocks

_LEAST_GAIN = 1e-3
_MOST_SWAPS = 100
_CANDIDATES = 8


def swapped_blocks(
    views: Sequence[BlockView],
    indices: Tensor,
    *,
    least_gain: float = _LEAST_GAIN,
    most: int = _MOST_SWAPS,
    candidates: int = _CANDIDATES,
) -> Tensor:
    """Make the best exchange of one kept channel for one dropped channel, again and again.

    With A = K + λI swept on the columns S kept, M = [−P, B; Bᵀ, R] and V = [U, G] as in `swapped`,
    a dropped channel J lowers the ridged error by tr(G_JᵀG_J R_JJ⁻¹) when it comes, and a kept one
    raises it by tr(U_JᵀU_J P_JJ⁻¹) when it goes. The channels that would help most are tried, each
    with every channel that could then go for it.

    Args:
        views: One a reader, each with taps of its own.
        indices: The channels kept, distinct. Shape (m,).
        least_gain: Stop when the best exchange lowers the error by less than this share of it.
        most: Stop after so many exchanges.
        candidates: How many of the dropped channels are tried each time.

    Returns:
        The channels kept, sorted. Shape (m,).
    """
    n, m = views[0][0].shape[1] // views[0][3], len(indices)
    if m == n:
        return indices.sort().values
    gone = torch.ones(n, dtype=torch.bool, device=indices.device)
    gone[indices] = False
    order = torch.cat([indices.sort().values, gone.nonzero().squeeze(1)])
    stays = torch.arange(n, device=indices.device) < m
    sweeps = [_BlockSweep(view, order=order, stays=stays) for view in views]
    error = sum(sweep.error for sweep in sweeps)
    for _ in range(most):
        change, i, t = _best(sweeps, stays, candidates=min(candidates, n - m))
        if not -change > least_gain * max(0.0, error):  # rounding may have brought it below 0
            break
        error += change
        for sweep in sweeps:
            sweep.sweep(t, 1)
            sweep.sweep(i, -1)
        stays[t], stays[i] = True, False
    return order[stays].sort().values


def _best(
    sweeps: Sequence["_BlockSweep"], stays: Tensor, *, candidates: int
) -> tuple[float, int, int]:
    """The least change of the error over the pairs tried, and the pair; ties go to the first."""
    gains = torch.stack([sweep.scores() for sweep in sweeps]).sum(0).masked_fill_(stays, -torch.inf)
    best = (torch.inf, 0, 0)
    for t in gains.sort(descending=True, stable=True).indices[:candidates].tolist():
        losses = torch.stack([sweep.losses(t) for sweep in sweeps]).sum(0)
        i = int(losses.masked_fill_(~stays, torch.inf).argmin())
        change = float(losses[i] - gains[t])
        if change < best[0]:
            best = (change, i, t)
    return best


class _BlockSweep:
    """One reader's A, swept on what is kept: [−P, B; Bᵀ, R], and beside it V = [U, G]."""

    def __init__(self, view: BlockView, *, order: Tensor, stays: Tensor) -> None:
        weights, covariance, wanted, self.taps = view
        stay, go = columns(order[stays], self.taps), columns(order[~stays], self.taps)
        self.stays = stays.clone()
        w, kept = reduced(weights), len(stay)
        factor, ridge = factored(covariance[stay][:, stay], wanted)
        cross = covariance[stay][:, go].double()
        b = torch.cholesky_solve(cross, factor)
        rest = covariance[go][:, go].double()
        rest.diagonal().add_(ridge)
        rest.addmm_(cross.T, b, alpha=-1)
        del cross
        self.form = b.new_empty(len(covariance), len(covariance))
        self.form[:kept, :kept] = inverse_of(factor).neg_()
        self.form[:kept, kept:], self.form[kept:, :kept] = b, b.T
        self.form[kept:, kept:] = rest
        g = w[:, go] @ rest
        self.error = float((g * w[:, go]).sum())
        self.columns = torch.cat([(w[:, stay] + w[:, go] @ b.T).T, g.T])  # Vᵀ
        # R ≥ λ, and P ≥ 1 / (trace of K_JJ + λ T).
        largest = covariance.diagonal().view(-1, self.taps).sum(1).max() + ridge * self.taps
        self.floors = {1: ridge, -1: 1 / float(largest)}
        self._refresh()

    def _refresh(self) -> None:
        """What every channel says of itself: |M_jj|, V_jᵀV_j and the whitener of the former."""
        sign = torch.where(self.stays, -1.0, 1.0).to(self.form)
        self.pivots = diagonal_blocks(self.form, self.taps) * sign[:, None, None]
        self.grams = column_grams(self.columns, self.taps)
        self.whitening = torch.empty_like(self.pivots)
        for side, floor in self.floors.items():
            chosen = self.stays if side < 0 else ~self.stays
            self.whitening[chosen] = whiteners(self.pivots[chosen], floor)

    def scores(self) -> Tensor:
        """What the error falls by when a dropped channel comes, grows by when a kept one goes."""
        return block_scores(self.grams, self.whitening)

    def losses(self, t: int) -> Tensor:
        """What the error grows by when a kept channel goes, the dropped one t being in by then."""
        step, factor = self._step(t)
        grams = column_grams(torch.addmm(self.columns, step.T, factor, alpha=-1), self.taps)
        losses = grams.new_full((len(grams),), torch.inf)
        # M − YᵀY = −(P + YᵀY) on what is kept
        pivots = (self.pivots + step_squares(step, self.taps))[self.stays]
        losses[self.stays] = block_scores(grams[self.stays], whiteners(pivots, self.floors[-1]))
        return losses

    def sweep(self, j: int, sign: int) -> None:
        """Sweep A on channel j, in with sign 1, out with −1, and follow in V."""
        own, whitening = self._own(j), self.whitening[j]
        step, factor = self._step(j)
        self.form.addmm_(step.T, step, alpha=-sign)
        self.form[own] = whitening.T @ step
        self.form[:, own] = self.form[own].T
        self.form[own, own] = -sign * whitening.T @ whitening
        self.columns.addmm_(step.T, factor, alpha=-sign)
        self.columns[own] = whitening.T @ factor
        self.stays[j] = sign > 0
        self._refresh()

    def _step(self, j: int) -> tuple[Tensor, Tensor]:
        """Y = L⁻¹ M_J: and Fᵀ = L⁻¹ V_Jᵀ."""
        own, whitening = self._own(j), self.whitening[j]
        return whitening @ self.form[own], whitening @ self.columns[own]

    def _own(self, j: int) -> slice:
        return slice(j * self.taps, (j + 1) * self.taps)
