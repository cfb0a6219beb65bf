"""The price of every size: the whole descent in at most a hundred points."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from coreprune.sizes.allocation import Price, descend
from coreprune.sizes.costs import Cost

POINTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One size of the network and what it costs in accuracy.

    Attributes:
        parameters: The share of parameters kept.
        flops: The share of floating-point operations on the example.
        bytes: The share of the parameters' bytes.
        neurons: The share of the groups' neurons.
        expected_error: The root mean square, over the law and all outputs, of what the outputs
            change, in their units: to first order, each group's error taken for itself.
        widths: The neurons that each group keeps.
    """

    parameters: float
    flops: float
    bytes: float
    neurons: float
    expected_error: float
    widths: Mapping[str, int]


def price_curve(
    prices: Mapping[str, Price], costs: Mapping[str, Cost], *, kind: str, round_to: int
) -> tuple[CurvePoint, ...]:
    """The descent from the whole network to the least widths.

    Args:
        prices: By the group's name; without any the curve is empty.
        costs: By the names of the budget's targets.
        kind: The cost that the descent saves.
        round_to: Widths are multiples of this.

    Returns:
        At most `POINTS` points, about evenly spaced in that cost, the first and the last included;
        the share of a cost that the whole network has nothing of is 1.
    """
    if not prices:
        return ()
    whole = {name: price.neurons for name, price in prices.items()}
    full = {name: cost.of(whole) for name, cost in costs.items()}
    least = {name: min(round_to, price.neurons) for name, price in prices.items()}
    spacing = (full[kind] - costs[kind].of(least)) / (POINTS - 1)
    stages = descend(prices, costs[kind], round_to=round_to)  # one a neuron: too many to keep
    last = next(stages)
    chosen = [last]
    for last in stages:
        if len(chosen) < POINTS - 1 and last.cost <= chosen[-1].cost - spacing:
            chosen.append(last)
    chosen += [] if chosen[-1] is last else [last]
    return tuple(
        CurvePoint(
            **{
                name: cost.of(stage.widths) / full[name] if full[name] else 1.0
                for name, cost in costs.items()
            },
            expected_error=math.sqrt(stage.error),
            widths=stage.widths,
        )
        for stage in chosen
    )
