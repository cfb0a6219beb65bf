"""Sums in which one neuron speaks for all of its multiples, so that what cancels does."""

from collections import defaultdict
from dataclasses import replace

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.neuron_sums import Block, NeuronSums
from coreprune.core.parallel import Multiple, Reading, multiples
from coreprune.core.query_set import QuerySet, absolute_reach
from coreprune.core.rounding import gamma, interval

EPS = 2.0**-23
"""How near rows must be to multiples, relative to each entry: the rounding of single precision."""


def merged(sums: NeuronSums, space: QuerySet) -> tuple[NeuronSums, Tensor]:
    """The sums with fewer neurons, and how far they are from those given.

    For φ_j(z) = a_j z + κ_j |z|, such as ReLU, and rows near to multiples with c > 0 and φ_i = φ_j,
    φ_j(z_j) is near to c φ_i(z_i): γ_·i gains c γ_·j and neuron j goes, which changes sum k by

        |γ_kj| L_j sup |(p_j − c p_i)·x + b_j − c b_i|

    at most, plus the rounding of what γ_·i gains. Other activations are left as they are.

    Args:
        sums: The sums.
        space: The queries.

    Returns:
        The sums, and for each the most that it differs by. Shape (k,).
    """
    slack, blocks = torch.zeros_like(sums.offsets), []
    for block in sums.blocks:
        fewer, moved = _merged_block(block, space) if _is_kink(block.activation) else (block, None)
        blocks.append(fewer)
        slack = slack if moved is None else slack + moved
    return replace(sums, blocks=tuple(blocks)), slack * (1 + gamma(len(blocks) + 2))


def _is_kink(activation: Activation) -> bool:
    """Whether φ is determined by a slope and a bend at 0."""
    envelope = activation.envelope
    if envelope is None or any(torch.as_tensor(v).any() for v in (envelope.gap, envelope.offset)):
        return False
    return bool(torch.as_tensor(envelope.scale).any())


def _merged_block(block: Block, space: QuerySet) -> tuple[Block, Tensor | None]:
    """A block whose neurons that are multiples of another one read nothing any more."""
    reading = Reading(
        points=block.points,
        bias=block.bias,
        activation=block.activation,
        weights=block.weights,
        parameters=block.points[:, :0],
        free_bias=True,
        eps=EPS,
    )
    found = list(multiples([reading], torch.arange(len(block.points))))
    if not found:
        return block, None
    gone, of = (torch.tensor([getattr(one, name) for one in found]) for name in ("neuron", "of"))
    factors = block.bias.new_tensor([one.factors[0] for one in found])
    weights = block.weights.clone()
    weights[:, gone] = 0.0
    weights.index_add_(1, of, factors * block.weights[:, gone])
    slack = _moved(block, space, (gone, of, factors)) + _rounded(block, space, found)
    return replace(block, weights=weights), slack


def _moved(block: Block, space: QuerySet, which: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Σ_j |γ_kj| L_j sup |z_j − c z_i|. Shape (k,)."""
    gone, of, factors = which
    points, bias = factors[:, None] * block.points[of], factors * block.bias[of]
    rows, shift = block.points[gone] - points, block.bias[gone] - bias
    low, high = interval(rows, shift, space)
    sizes = absolute_reach(block.points[gone].abs() + points.abs(), space)
    rounding = gamma(4) * (sizes + block.bias[gone].abs() + bias.abs())
    lipschitz = torch.as_tensor(block.activation.lipschitz, dtype=torch.float64)
    steepest = lipschitz.expand(len(block.points))[gone]
    worst = steepest * (torch.maximum(low.abs(), high.abs()) + rounding)
    return block.weights[:, gone].abs() @ worst * (1 + gamma(len(gone) + 8))


def _rounded(block: Block, space: QuerySet, found: list[Multiple]) -> Tensor:
    """What adding c γ_·j to γ_·i in float64 is off by, times the largest |φ_i|. Shape (k,)."""
    low, high = interval(block.points, block.bias, space)
    largest = block.activation.supremum(low, high)
    added: dict[int, Tensor] = defaultdict(lambda: torch.zeros_like(block.weights[:, 0]))
    for one in found:
        added[one.of] += (one.factors[0] * block.weights[:, one.neuron]).abs()
    sizes = [(block.weights[:, i].abs() + size) * largest[i] for i, size in added.items()]
    return gamma(len(found) + 8) * torch.stack(sizes).sum(0)
