"""A CROWN relaxation of a difference of ReLU networks, written anew to compare with.

Reference:
    Zhang, Weng, Chen, Hsieh, Daniel 2018, "Efficient Neural Network Robustness Certification with
    General Activation Functions"; the slopes of the lower lines optimised as in Xu et al. 2021.
"""

import torch
from torch import Tensor

from coreprune.core.neuron_sums import NeuronSums


def crown(sums: NeuronSums, *, radius: float, steps: int = 100) -> Tensor:
    """Upper bounds of sup |Σ_j γ_ij max(p_j·x + b_j, 0) + γ_i0| over ‖x‖ ≤ β.

    On [l, u] with l < 0 < u, max(z, 0) ≤ u (z − l)/(u − l) and ≥ s z for 0 ≤ s ≤ 1; the sum of the
    lines is linear in x. The s are optimised for every sum and sign.

    Args:
        sums: r, one block of ReLU neurons.
        radius: β.
        steps: Of Adam on the slopes.

    Returns:
        The bounds, without care for rounding. Shape (k,).
    """
    (block,) = sums.blocks
    points, bias, gamma, offsets = block.points, block.bias, block.weights, sums.offsets
    reach = radius * torch.linalg.vector_norm(points, dim=1)
    low, high = bias - reach, bias + reach
    on, off = low >= 0, high <= 0
    chord = torch.where(on, 1.0, torch.where(off, 0.0, high / (high - low)))
    rise = torch.where(on | off, 0.0, -low * high / (high - low))
    signed = torch.cat([gamma, -gamma])
    constant = torch.cat([offsets, -offsets])
    free = torch.zeros_like(signed, requires_grad=True)
    optimiser = torch.optim.Adam([free], lr=0.1)
    best = torch.full_like(constant, torch.inf)
    for _ in range(steps):
        lower = torch.where(on, 1.0, torch.where(off, 0.0, torch.sigmoid(free)))
        slopes = signed * torch.where(signed > 0, chord, lower)
        intercept = (signed.clamp_min(0) * rise).sum(1)
        value = constant + intercept + slopes @ bias
        value = value + radius * torch.linalg.vector_norm(slopes @ points, dim=1)
        best = torch.minimum(best, value.detach())
        optimiser.zero_grad()
        value.sum().backward()
        optimiser.step()
    k = len(offsets)
    return torch.maximum(best[:k], best[k:])
