"""Swaps: exchange a neuron that stays for one that goes while the error falls."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import factored, inverse_of

_LEAST_GAIN = 1e-3
_MOST_SWAPS = 100
_CHUNK = 2**18


def swapped(
    views: Sequence[tuple[Tensor, Tensor, float]],
    indices: Tensor,
    *,
    least_gain: float = _LEAST_GAIN,
    most: int = _MOST_SWAPS,
) -> Tensor:
    """Make the best exchange of one kept neuron for one dropped neuron, again and again.

    Every pair is priced at every step. With A = K + λI and S kept, T dropped, let

        P = A[S,S]⁻¹,   B = P A[S,T],   R = A[T,T] − A[T,S] B,
        U = W[:,S] + W[:,T] Bᵀ,   G = W[:,T] R .

    Taking t in lowers the ridged error by γ_t = ‖G_:t‖² / R_tt; letting i go then raises it by

        ( ‖U_:i‖² − 2 B_it U_:i·G_:t / R_tt + B_it² γ_t / R_tt ) / ( P_ii + B_it² / R_tt ) .

    Args:
        views: (W, K, λ) of each reader; W of shape (k_c, n), K of shape (n, n).
        indices: S, distinct. Shape (m,).
        least_gain: Stop when the best exchange lowers the error by less than this share of it.
        most: Stop after so many exchanges.

    Returns:
        The neurons kept, sorted. Shape (m,).
    """
    n, m = views[0][0].shape[1], len(indices)
    if m == n:
        return indices.sort().values
    gone = torch.ones(n, dtype=torch.bool, device=indices.device)
    gone[indices] = False
    order = torch.cat([indices.sort().values, gone.nonzero().squeeze(1)])
    sweeps = [_Sweep(*view, order=order, kept=m) for view in views]
    error = sum(sweep.error for sweep in sweeps)
    for _ in range(most):
        change, i, t = _best(sweeps, m)
        if not -change > least_gain * max(0.0, error):  # rounding may have brought it below 0
            break
        error += change
        for sweep in sweeps:
            sweep.exchange(i, m + t)
        order[[i, m + t]] = order[[m + t, i]]
    return order[:m].sort().values


def _best(sweeps: Sequence["_Sweep"], m: int) -> tuple[float, int, int]:
    """The least change of the error over all pairs, and the pair; ties go to the first."""
    width = len(sweeps[0].form) - m
    best = (torch.inf, 0, 0)
    rows = max(1, _CHUNK // width)
    for start in range(0, m, rows):
        block = slice(start, min(start + rows, m))
        change = sweeps[0].changes(block)
        for sweep in sweeps[1:]:
            change += sweep.changes(block)
        position = int(change.argmin())
        i, t = divmod(position, width)
        if float(change[i, t]) < best[0]:
            best = (float(change[i, t]), start + i, t)
    return best


class _Sweep:
    """One reader's A, swept on what is kept, which stands first: [−P, B; Bᵀ, R].

    Beside it VᵀV for V = [U, G]: both change by a few outer products when a neuron moves.
    """

    def __init__(
        self, weights: Tensor, covariance: Tensor, ridge: float, *, order: Tensor, kept: int
    ) -> None:
        stay, go = order[:kept], order[kept:]
        w = weights.double()
        factor, ridge = factored(covariance[stay[:, None], stay], ridge)
        cross = covariance[stay[:, None], go]
        self.kept = kept
        self.form = covariance.new_empty(len(order), len(order))
        b = torch.cholesky_solve(cross, factor)
        self.form[:kept, :kept] = inverse_of(factor).neg_()
        del factor  # whatever is let go here makes room for the Gram matrix
        rest = covariance[go[:, None], go]
        rest.diagonal().add_(ridge)
        rest.addmm_(cross.T, b, alpha=-1)
        del cross
        self.form[:kept, kept:], self.form[kept:, :kept] = b, b.T
        self.form[kept:, kept:] = rest
        g = w[:, go] @ rest
        self.error = float((g * w[:, go]).sum())
        v = torch.cat([w[:, stay] + w[:, go] @ b.T, g], dim=1)
        del b, rest, g
        self.gram = v.T @ v

    def changes(self, block: slice) -> Tensor:
        """What the error changes by for each pair of some kept neurons and a dropped one."""
        norms, diagonal = self.gram.diagonal(), self.form.diagonal()
        r, gain = diagonal[self.kept :], norms[self.kept :] / diagonal[self.kept :]
        b = self.form[block, self.kept :]
        scaled = b / r
        loss = torch.addcmul(norms[block, None], scaled, self.gram[block, self.kept :], value=-2)
        loss.addcmul_(scaled * b, gain)
        return loss.div_(scaled.mul_(b).sub_(diagonal[block, None])).sub_(gain)

    def exchange(self, i: int, t: int) -> None:
        """Take t in, let i go, and let them change places."""
        self._sweep(t, 1)
        self._sweep(i, -1)
        for matrix in (self.form, self.gram):
            matrix[[i, t]] = matrix[[t, i]]
            matrix[:, [i, t]] = matrix[:, [t, i]]

    def _sweep(self, j: int, sign: int) -> None:
        """Sweep A on j, in with sign 1, out with −1, and follow in the Gram matrix."""
        row, overlap = self.form[j].clone(), self.gram[j].clone()
        pivot, norm = float(row[j]), float(overlap[j])
        p = row / pivot
        half = overlap - norm / 2 * p
        self.form.addmm_(row[:, None], p[None], alpha=-1)
        self.form[j] = self.form[:, j] = sign * p
        self.form[j, j] = -1 / pivot
        self.gram.addmm_(torch.stack([p, half], 1), torch.stack([half, p]), alpha=-1)
        self.gram[j] = self.gram[:, j] = sign / pivot * (overlap - norm * p)
        self.gram[j, j] = norm / pivot**2
