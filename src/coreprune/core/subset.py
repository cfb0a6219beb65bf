"""The coreset of a layer: which neurons stay and what the next layer reads from them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightedSubset:
    """m of a layer's n neurons with new outgoing weights.

    Attributes:
        indices: The neurons kept, sorted and distinct. Shape (m,).
        weights: u, the new outgoing weights of the kept neurons. Shape (k, m).
        bias_shift: What the next layer's bias gains. Shape (k,).
        num_draws: How many draws were made, when the method draws with replacement, else None.
        ridge: λ of the system the weights solve, None where none was solved.
        condition_number: Of that system's matrix, in the 2-norm, likewise.
    """

    indices: Tensor
    weights: Tensor
    bias_shift: Tensor
    num_draws: int | None = None
    ridge: float | None = None
    condition_number: float | None = None


def unsampled(weights: Tensor, sensitivities: Tensor, num_neurons: int) -> WeightedSubset:
    """The m most sensitive neurons as they are: what is left when no other one matters.

    Args:
        weights: Outgoing weights w. Shape (k, n).
        sensitivities: s_j. Shape (n,).
        num_neurons: m; every neuron with s_j > 0 is among the m most sensitive ones.

    Returns:
        The subset, filled up with silent neurons to the wanted width.
    """
    order = torch.sort(sensitivities, descending=True, stable=True).indices
    return reweighted(weights, order[:num_neurons].sort().values)


def reweighted(
    weights: Tensor, indices: Tensor, factors: Tensor | None = None, *, num_draws: int | None = None
) -> WeightedSubset:
    """The subset whose outgoing weights are the old ones times a factor a neuron.

    Args:
        weights: Outgoing weights w. Shape (k, n).
        indices: The neurons kept, sorted. Shape (m,).
        factors: u_ij / w_ij; None keeps the weights as they are. Shape (m,).
        num_draws: As in `WeightedSubset`.

    Returns:
        The subset, its bias shift zero.
    """
    indices = indices.to(weights.device)
    kept = weights.index_select(1, indices)
    if factors is not None:
        # In float32 at least: a factor may exceed what half precision holds before it meets w.
        wide = kept if kept.dtype.itemsize >= 4 else kept.float()
        kept = wide.mul_(factors.to(wide)).to(weights.dtype)
    return WeightedSubset(
        indices=indices,
        weights=kept,
        bias_shift=weights.new_zeros(len(weights)),
        num_draws=num_draws,
    )
