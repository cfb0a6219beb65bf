"""How many draws for how small an error, and back (proof in docs/theory.md).

With probability at least 1 − δ over m draws from pr_j = s_j / t, every one of the k outputs of the
next layer satisfies, for every query of the ball at once,

    |original − coreset| ≤ ε = (2Λ + t √(2 ln(2k / δ))) / √m,    Λ² = t Σ_j ℓ_j² / s_j .

No dimension and no number of neurons is in it. With s_j ≥ ℓ_j the spread Λ is at most t.
"""

import math

from torch import Tensor

from coreprune.errors import ArgumentError


def spread(sensitivities: Tensor, slope_sensitivities: Tensor) -> float:
    """Λ = √(t Σ_j ℓ_j² / s_j), over the neurons that can be drawn.

    Args:
        sensitivities: s_j. Shape (n,).
        slope_sensitivities: ℓ_j. Shape (n,).

    Returns:
        Λ in the units of the next layer's inputs; infinite for activations that are not Lipschitz.

    Example:
        >>> import torch
        >>> spread(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 3.0]))
        4.0
    """
    alive = sensitivities > 0
    s, slope = sensitivities[alive].double(), slope_sensitivities[alive].double()
    return math.sqrt(float(s.sum()) * float((slope**2 / s).sum()))


def error_of_draws(
    num_draws: int, *, total: float, spread: float, num_outputs: int, delta: float
) -> float:
    """The ε that `num_draws` draws guarantee with probability 1 − δ.

    Args:
        num_draws: m ≥ 1.
        total: t = Σ_j s_j.
        spread: Λ.
        num_outputs: k, the outputs for which the guarantee holds together.
        delta: δ in (0, 1), the probability that it fails.

    Returns:
        ε, additive, in the units of the next layer's inputs.

    Raises:
        ArgumentError: When an argument is outside its range.

    Example:
        >>> round(error_of_draws(10_000, total=5.0, spread=5.0, num_outputs=10, delta=0.01), 3)
        0.295
    """
    _check(num_outputs=num_outputs, delta=delta)
    if num_draws < 1:
        raise ArgumentError(f"num_draws must be at least 1, got {num_draws}")
    return _scale(total, spread, num_outputs=num_outputs, delta=delta) / math.sqrt(num_draws)


def draws_for_error(
    eps: float, *, total: float, spread: float, num_outputs: int, delta: float
) -> int:
    """The least number of draws whose guaranteed error is at most ε.

    Args:
        eps: ε > 0, additive, in the units of the next layer's inputs.
        total: t = Σ_j s_j.
        spread: Λ.
        num_outputs: k.
        delta: δ in (0, 1).

    Returns:
        m ≥ 1. More than the layer's neurons means that the guarantee asks for no pruning at all;
        it is then vacuous for this layer.

    Raises:
        ArgumentError: When an argument is out of range, or Λ is infinite (a step function).

    Example:
        >>> draws_for_error(0.3, total=5.0, spread=5.0, num_outputs=10, delta=0.01)
        9667
    """
    _check(num_outputs=num_outputs, delta=delta)
    if not eps > 0:
        raise ArgumentError(f"eps must be positive, got {eps}")
    scale = _scale(total, spread, num_outputs=num_outputs, delta=delta)
    if math.isinf(scale):
        raise ArgumentError(
            "the activation is not Lipschitz, so no number of draws is known to suffice; "
            "choose num_neurons instead"
        )
    return max(1, math.ceil((scale / eps) ** 2))


def _scale(total: float, spread: float, *, num_outputs: int, delta: float) -> float:
    return 2 * spread + total * math.sqrt(2 * math.log(2 * num_outputs / delta))


def _check(*, num_outputs: int, delta: float) -> None:
    if num_outputs < 1:
        raise ArgumentError(f"num_outputs must be at least 1, got {num_outputs}")
    if not 0 < delta < 1:
        raise ArgumentError(f"delta must lie strictly between 0 and 1, got {delta}")
