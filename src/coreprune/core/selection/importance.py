"""Sensitivity sampling with replacement: the paper's Algorithm 1."""

import torch
from torch import Generator, Tensor

from coreprune.core.sensitivity import probabilities
from coreprune.core.subset import WeightedSubset, reweighted, unsampled


def importance(
    weights: Tensor, sensitivities: Tensor, *, num_neurons: int, generator: Generator
) -> WeightedSubset:
    """Draw so often that the *expected* number of distinct neurons is `num_neurons`.

    The number of draws is fixed before the first one; stopping at a wanted number of distinct
    neurons instead would bias the weights. The width of the result is therefore random. When
    `num_neurons` covers every neuron of positive sensitivity, the most sensitive ones stay as they
    are, without a draw. A sensitivity below the rounding of t counts as zero.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        sensitivities: s_j. Shape (n,).
        num_neurons: The expected number of neurons kept, at least 1.
        generator: The source of randomness, on the CPU.

    Returns:
        An unbiased coreset that reports its draws.

    Example:
        >>> weights, s = torch.ones(1, 4), torch.tensor([1.0, 1.0, 1.0, 0.0])
        >>> importance(weights, s, num_neurons=3, generator=Generator()).indices.tolist()
        [0, 1, 2]
    """
    s = sensitivities.double()
    # A share of t below rounding would ask for more draws than a double can count.
    s = torch.where(s > torch.finfo(s.dtype).eps * s.sum(), s, 0.0)
    if num_neurons >= int((s > 0).sum()):
        return unsampled(weights, sensitivities, num_neurons)
    num_draws = draws_for_distinct(num_neurons, s)
    return importance_draws(weights, s, num_draws=num_draws, generator=generator)


def importance_draws(
    weights: Tensor, sensitivities: Tensor, *, num_draws: int, generator: Generator
) -> WeightedSubset:
    """Draw m neurons i.i.d. with pr_j = s_j / t and set u_ij = w_ij · count_j / (m pr_j).

    E[Σ_j u_ij h_j(x)] = Σ_j w_ij h_j(x) for every query of the ball.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        sensitivities: s_j. Shape (n,).
        num_draws: m ≥ 1.
        generator: The source of randomness, on the CPU.

    Returns:
        The coreset of the distinct neurons drawn.

    References:
        Mussay, Osadchy, Braverman, Zhou, Feldman 2020, Algorithm 1.
    """
    pr = probabilities(sensitivities.double().cpu())
    return weighted_by_counts(weights, pr, _multinomial_counts(num_draws, pr, generator))


def weighted_by_counts(weights: Tensor, probabilities: Tensor, counts: Tensor) -> WeightedSubset:
    """The coreset of an outcome of the draws: u_ij = w_ij · count_j / (m pr_j), m = Σ_j count_j.

    Args:
        weights: Outgoing weights w_ij. Shape (k, n).
        probabilities: pr_j. Shape (n,).
        counts: How often each neuron was drawn, in float64. Shape (n,).

    Returns:
        The coreset of the neurons drawn at least once.
    """
    indices, num_draws = counts.nonzero().flatten(), counts.sum()
    factors = counts[indices] / (num_draws * probabilities[indices])
    return reweighted(weights, indices, factors, num_draws=int(num_draws))


def expected_distinct(num_draws: int, sensitivities: Tensor) -> float:
    """Σ_j 1 − (1 − pr_j)^m: the expected number of distinct neurons in m draws."""
    return _distinct(num_draws, _log_missed(sensitivities))


def draws_for_distinct(num_neurons: int, sensitivities: Tensor) -> int:
    """The number of draws whose expected number of distinct neurons comes nearest to a target.

    Args:
        num_neurons: The target, at least 1 and below the number of positive sensitivities.
        sensitivities: s_j. Shape (n,).

    Returns:
        m ≥ num_neurons.

    Example:
        >>> draws_for_distinct(2, torch.ones(4))
        2
    """
    missed = _log_missed(sensitivities)
    low = high = num_neurons
    while _distinct(high, missed) < num_neurons:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _distinct(middle, missed) < num_neurons else (low, middle)
    undershoot = num_neurons - _distinct(low, missed)
    overshoot = _distinct(high, missed) - num_neurons
    return low if undershoot <= overshoot else high


def _log_missed(sensitivities: Tensor) -> Tensor:
    """ln(1 − pr_j): the logarithm of the probability that one draw misses a neuron."""
    return torch.log1p(-probabilities(sensitivities.double()).clamp_max(1 - 1e-16))


def _distinct(num_draws: int, log_missed: Tensor) -> float:
    return float(-torch.expm1(float(num_draws) * log_missed).sum())


def _multinomial_counts(num_draws: int, pr: Tensor, generator: Generator) -> Tensor:
    """How often each neuron is drawn: halves split by binomials, so the cost is free of m."""
    size = 1 << (len(pr) - 1).bit_length()
    levels = [torch.nn.functional.pad(pr, (0, size - len(pr)))]
    while len(levels[-1]) > 1:
        levels.append(levels[-1].view(-1, 2).sum(1))
    counts = torch.tensor([float(num_draws)], dtype=torch.float64)
    for masses in reversed(levels[:-1]):
        pairs = masses.view(-1, 2)
        share = (pairs[:, 0] / pairs.sum(1)).nan_to_num(0.0)
        left = torch.binomial(counts, share, generator=generator)
        counts = torch.stack([left, counts - left], dim=1).flatten()
    return counts[: len(pr)]
