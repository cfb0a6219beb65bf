"""Backward elimination: from all neurons, always drop the one whose loss costs least."""

from collections.abc import Sequence

import torch
from torch import Tensor

from coreprune.core.reconstruction import Path

_BLOCK = 64


def backward(weights: Tensor, covariance: Tensor, *, ridge: float) -> Path:
    """Order the neurons by greedy removal with optimal reweighting after every step.

    With P = (K + λI)⁻¹ and U = W, remove j = argmin ‖U_:j‖² / P_jj, then

        U ← U − U_:j P_j: / P_jj,        P ← P − P_:j P_j: / P_jj :

    the Optimal-Brain-Surgeon step for whole neurons. ‖U_:j‖² / P_jj is exactly what the ridged
    error grows by. Steps are applied to U and P in blocks; between blocks only the column that goes
    and the scores are brought up to date, so no step touches all of P.

    Args:
        weights: Outgoing weights W. Shape (k, n).
        covariance: K, positive semidefinite, in float64. Shape (n, n).
        ridge: λ > 0.

    Returns:
        The path; ties go to the lower index.

    References:
        Hassibi & Stork 1993, "Second order derivatives for network pruning: Optimal Brain Surgeon".
    """
    return backward_shared([(weights, covariance, ridge)])


def backward_shared(views: Sequence[tuple[Tensor, Tensor, float]]) -> Path:
    """`backward` for readers that see the same neurons through functions of their own.

    One order for all; a neuron's cost is the sum of its costs to the readers.

    Args:
        views: (W, K, λ) of each reader; W of shape (k_c, n), K of shape (n, n).

    Returns:
        The path; its ridge is the largest of the readers'.
    """
    states = [
        (weights.double().clone(), _inverse(covariance, ridge))
        for weights, covariance, ridge in views
    ]
    device = states[0][1].device
    alive = torch.arange(len(states[0][1]), device=device)
    order, costs = [], [torch.zeros(1, dtype=torch.float64, device=device)]
    while len(alive) > 1:
        gone, cost = _eliminate([_Block(u, p) for u, p in states], min(_BLOCK, len(alive) - 1))
        order.append(alive[gone])
        costs.append(cost)
        left = torch.ones(len(alive), dtype=torch.bool, device=device)
        left[gone] = False
        alive = alive[left]
        states = [(u[:, left], p[left][:, left]) for u, p in states]
    return Path(
        order=torch.cat([*order, alive]),
        errors=torch.cat(costs).cumsum(0),
        ridge=max(ridge for _, _, ridge in views),
    )


def _inverse(covariance: Tensor, ridge: float) -> Tensor:
    ridged = covariance.clone()
    ridged.diagonal().add_(ridge)
    return torch.cholesky_inverse(torch.linalg.cholesky(ridged))


def _eliminate(blocks: Sequence["_Block"], steps: int) -> tuple[Tensor, Tensor]:
    """Remove `steps` neurons from every U and P in place; positions and costs in order."""
    closed = torch.zeros_like(blocks[0].diagonal, dtype=torch.bool)
    gone, costs = [], []
    for _ in range(steps):
        scores = torch.stack([block.norms / block.diagonal for block in blocks]).sum(0)
        j = int(scores.masked_fill(closed, torch.inf).argmin())
        gone.append(j)
        costs.append(scores[j])
        closed[j] = True
        for block in blocks:
            block.remove(j)
    for block in blocks:
        block.apply()
    return torch.tensor(gone, device=closed.device), torch.stack(costs)


class _Block:
    """Some removals from one reader's U and P, applied together at the end."""

    def __init__(self, u: Tensor, p: Tensor) -> None:
        self.u, self.p = u, p
        self.diagonal, self.norms = p.diagonal().clone(), u.square().sum(0)
        self.rows = p.new_zeros(0, len(p))  # P_j: at the time of each removal
        self.scaled = p.new_zeros(0, len(p))  # the same over P_jj
        self.columns = u.new_zeros(0, len(u))  # U_:j likewise

    def remove(self, j: int) -> None:
        """Bring the scores up to date with the loss of neuron j."""
        row = self.p[j] - self.rows[:, j] @ self.scaled
        column = self.u[:, j] - self.columns.T @ self.scaled[:, j]
        ratio = row / row[j]
        overlap = self.u.T @ column - self.scaled.T @ (self.columns @ column)
        change = ratio.square() * column.square().sum() - 2 * ratio * overlap
        self.norms = (self.norms + change).clamp_min_(0)
        self.diagonal = self.diagonal - row * ratio
        self.rows = torch.cat([self.rows, row[None]])
        self.scaled = torch.cat([self.scaled, ratio[None]])
        self.columns = torch.cat([self.columns, column[None]])

    def apply(self) -> None:
        """Carry the removals out on U and P in place."""
        self.u -= self.columns.T @ self.scaled
        self.p -= self.rows.T @ self.scaled
