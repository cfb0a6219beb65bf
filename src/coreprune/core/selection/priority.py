"""Sensitivity sampling without replacement: an exact width and an unbiased estimate."""

import torch
from torch import Generator, Tensor

from coreprune.core.subset import WeightedSubset, reweighted, unsampled


def priority(
    weights: Tensor, sensitivities: Tensor, *, num_neurons: int, generator: Generator
) -> WeightedSubset:
    """Keep the m neurons of highest priority q_j = s_j / r_j, r_j uniform on (0, 1].

    With τ the (m + 1)-th largest priority, u_ij = w_ij · max(1, τ / s_j): the Horvitz-Thompson
    weights given τ. E[u_ij] = w_ij where s_j > 0, with u_ij = 0 for the neurons left out, so the
    estimate of the next layer's inputs is unbiased for every query of the ball.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        sensitivities: s_j; where s_j = 0 a neuron is kept only to fill the width. Shape (n,).
        num_neurons: m ≥ 1.
        generator: The source of randomness, on the CPU.

    Returns:
        A coreset of exactly m neurons.

    References:
        Duffield, Lund, Thorup 2007, "Priority sampling for estimation of arbitrary subset sums".

    Example:
        >>> weights, s = torch.ones(1, 3), torch.tensor([4.0, 2.0, 2.0])
        >>> len(priority(weights, s, num_neurons=2, generator=Generator()).indices)
        2
    """
    r = 1 - torch.rand(len(sensitivities), dtype=torch.float64, generator=generator)
    return highest_priority(weights, sensitivities.double().cpu(), r, num_neurons=num_neurons)


def highest_priority(
    weights: Tensor, sensitivities: Tensor, uniforms: Tensor, *, num_neurons: int
) -> WeightedSubset:
    """The coreset of an outcome of the draws: no randomness is left in it.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        sensitivities: s_j in float64. Shape (n,).
        uniforms: r_j in (0, 1]. Shape (n,).
        num_neurons: m ≥ 1.

    Returns:
        As `priority`.
    """
    s, r = sensitivities, uniforms
    if num_neurons >= int((s > 0).sum()):
        return unsampled(weights, s, num_neurons)
    ranked, order = torch.sort(s / r, descending=True, stable=True)
    threshold = ranked[num_neurons]
    indices = order[:num_neurons].sort().values
    return reweighted(weights, indices, (threshold / s[indices]).clamp_min(1.0))
