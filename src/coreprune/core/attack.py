"""Queries that make a difference large: lower bounds of suprema, by ascent with restarts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from coreprune.core.neuron_sums import NeuronSums
from coreprune.core.query_set import QuerySet, draw, inside, pulled_back, queries
from coreprune.errors import ArgumentError

_AT_ONCE = 20_000_000  # numbers of one intermediate tensor
Slope = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attack:
    """What was reached, and where.

    Attributes:
        values: The largest |r_i| found, as evaluated at the query. Shape (k,).
        queries: Where. Shape (k, d).
    """

    values: Tensor
    queries: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ascent:
    """How hard to look.

    Attributes:
        restarts: Starts for each sum and sign; one along the linear part, the others at random.
        steps: Normalised gradient steps of each, of a length falling from 1/2 to 1/200.
    """

    restarts: int = 12
    steps: int = 80


def attack(
    sums: NeuronSums, space: QuerySet, *, ascent: Ascent | None = None, generator: Generator
) -> Attack:
    """Look for sup |r_i| over the queries, for every sum.

    Args:
        sums: r.
        space: The queries.
        ascent: How hard to look.
        generator: The source of randomness, on the CPU; the same one finds the same queries.

    Returns:
        The best found, in float64. A function without slope (a step) is only sampled.

    Raises:
        ArgumentError: When restarts or steps are not positive.

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.neuron_sums import Block, neuron_sums
        >>> from coreprune.core.query_set import ball
        >>> block = Block(points=torch.eye(2), bias=torch.zeros(2), activation=relu(),
        ...     weights=torch.tensor([[1.0, 1.0]]))
        >>> sums = neuron_sums([block], torch.zeros(1))
        >>> round(attack(sums, ball(1.0, dimension=2), generator=Generator()).values.item(), 2)
        1.41
    """
    ascent = _checked(ascent)
    k, e = len(sums.offsets), space.axes.shape[-1]
    pulled = [pulled_back(block.points, block.bias, space) for block in sums.blocks]
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat_interleave(k)
    lines = torch.zeros(k, e, dtype=torch.float64)
    for block, (rows, _) in zip(sums.blocks, pulled, strict=True):
        lines += block.weights @ rows
    v = draw(space, 2 * k * ascent.restarts, generator=generator).view(2 * k, ascent.restarts, e)
    v[:, 0] = _along(torch.cat([lines, -lines]), space)
    width = max(e, *(len(rows) for rows, _ in pulled))
    found = []
    for chunk in torch.split(torch.arange(2 * k), max(1, _AT_ONCE // (ascent.restarts * width))):

        def slope(v: Tensor, chunk: Tensor = chunk) -> tuple[Tensor, Tensor]:
            return _sum_slope(sums, pulled, v, rows=chunk % k, signs=signs[chunk])

        found.append(_ascend(slope, v[chunk], space, steps=ascent.steps))
    values, places = (torch.cat(tensors) for tensors in zip(*found, strict=True))
    return _best_sign(values, places, space)


def attack_function(
    function: Callable[[Tensor], Tensor],
    space: QuerySet,
    *,
    num_outputs: int,
    ascent: Ascent | None = None,
    generator: Generator,
) -> Attack:
    """Look for the largest |output| of any function, such as the difference of two networks.

    Args:
        function: Queries of shape (Q, d), in float64, to outputs of shape (Q, k), row by row;
            where it has no derivatives, it is sampled.
        space: The queries.
        num_outputs: k.
        ascent: How hard to look.
        generator: The source of randomness, on the CPU.

    Returns:
        The best found.

    Raises:
        ArgumentError: When restarts or steps are not positive.

    Example:
        >>> from coreprune.core.query_set import box
        >>> square = box(torch.zeros(2), torch.ones(2))
        >>> attack_function(lambda x: x.sum(1, keepdim=True), square, num_outputs=1,
        ...     generator=Generator()).values.item()
        2.0
    """
    ascent = _checked(ascent)
    k, e = num_outputs, space.axes.shape[-1]
    target = torch.arange(k).repeat(2)[:, None].expand(-1, ascent.restarts).flatten()
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat_interleave(k * ascent.restarts)

    def slope(v: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            flat = v.flatten(0, 1).detach().requires_grad_()
            outputs = function(queries(space, flat))
            value = outputs.gather(1, target[:, None])[:, 0].double() * sign
            total = value.sum()  # of steps alone it has no derivative
            (gradient,) = torch.autograd.grad(total, flat) if total.requires_grad else (flat * 0,)
        return value.detach().view(v.shape[:2]), gradient.view_as(v)

    v = draw(space, 2 * k * ascent.restarts, generator=generator).view(2 * k, ascent.restarts, e)
    values, places = _ascend(slope, v, space, steps=ascent.steps)
    return _best_sign(values, places, space)


def _checked(ascent: Ascent | None) -> Ascent:
    ascent = ascent or Ascent()
    if ascent.restarts < 1 or ascent.steps < 1:
        raise ArgumentError(
            f"restarts and steps must be at least 1, got {ascent.restarts} and {ascent.steps}"
        )
    return ascent


def _along(lines: Tensor, space: QuerySet) -> Tensor:
    """The point of the unit set where each line is largest. Shape (m, e)."""
    if space.unit == "cube":
        return torch.where(lines < 0, -1.0, 1.0).to(lines)
    return functional.normalize(lines, dim=1)


def _sum_slope(
    sums: NeuronSums,
    pulled: list[tuple[Tensor, Tensor]],
    v: Tensor,
    *,
    rows: Tensor,
    signs: Tensor,
) -> tuple[Tensor, Tensor]:
    """±r_i and its gradient in v. Shapes (m, R) and (m, R, e)."""
    value = (sums.offsets[rows] * signs)[:, None].expand(v.shape[:2]).clone()
    gradient = torch.zeros_like(v)
    for block, (points, shift) in zip(sums.blocks, pulled, strict=True):
        weights = (block.weights[rows] * signs[:, None])[:, None]
        with torch.enable_grad():
            z = (v @ points.T + shift).requires_grad_()
            h = block.activation(z)
            (slope,) = torch.autograd.grad(h.sum(), z) if h.requires_grad else (z * 0,)
        value += (h.detach() * weights).sum(2)
        gradient += (slope * weights) @ points
    return value, gradient


def _ascend(slope: Slope, v: Tensor, space: QuerySet, *, steps: int) -> tuple[Tensor, Tensor]:
    """The best value over all ascents of each row, and where. Shapes (m,) and (m, e)."""
    best = torch.full(v.shape[:2], -torch.inf, dtype=torch.float64)
    places = v
    for step in range(steps + 1):
        value, gradient = slope(v)
        better = value > best
        best = torch.where(better, value, best)
        places = torch.where(better[..., None], v, places)
        if space.unit == "cube":
            gradient = gradient / gradient.abs().amax(-1, keepdim=True).clamp_min(1e-300)
        else:
            gradient = functional.normalize(gradient, dim=-1)
        v = inside(v + 0.5 * 0.01 ** (step / steps) * gradient, space)
    winner = best.argmax(1)
    row = torch.arange(len(winner))
    return best[row, winner], places[row, winner]


def _best_sign(values: Tensor, places: Tensor, space: QuerySet) -> Attack:
    k = len(values) // 2
    negative = values[k:] > values[:k]
    v = torch.where(negative[:, None], places[k:], places[:k])
    return Attack(
        values=torch.maximum(values[:k], values[k:]).clamp_min(0), queries=queries(space, v)
    )
