"""How a budget is shared between groups: the neuron goes whose loss is cheapest for what it saves.

A group's price list says what it costs the network's output to leave so many of its neurons out.
Starting from the whole network, the next neurons to go are those with the least error per unit
saved, both at the present widths: savings are bilinear in them. Prices enter through their lower
convex hull, so that a dear neuron does not hide the cheap ones behind it.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from coreprune.sizes.costs import Cost, saving


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Price:
    """What a group's neurons are worth to the network's output.

    Attributes:
        neurons: n.
        errors: errors[r] is the expected squared error of the outputs once r neurons have gone, not
            falling, errors[0] = 0. Shape (n,).
    """

    neurons: int
    errors: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One network on the way from the whole one to the smallest.

    Attributes:
        widths: The neurons that each group keeps.
        cost: In the unit of the descent.
        error: The sum of the groups' expected squared errors.
    """

    widths: Mapping[str, int]
    cost: float
    error: float


def descend(prices: Mapping[str, Price], cost: Cost, *, round_to: int = 1) -> Iterator[Stage]:
    """Every stage from the whole network down to the least widths.

    Args:
        prices: By the group's name.
        cost: What is to be saved.
        round_to: Widths below a group's own are multiples of this.

    Yields:
        The whole network first; each next one has fewer neurons in one group.
    """
    ladders = {name: _Ladder(price, round_to) for name, price in prices.items()}
    terms = cost.by_group()
    widths = {name: price.neurons for name, price in prices.items()}
    total, spent = cost.of(widths), 0.0

    def saved(name: str) -> float:
        return saving(terms.get(name, ()), name, widths, steps=ladders[name].step(widths[name]))

    def ratio(name: str) -> float:
        gain = saved(name)
        return ladders[name].slope(widths[name]) / gain if gain > 0 else math.inf

    queue = [(ratio(name), name) for name in prices if ladders[name].step(widths[name])]
    heapq.heapify(queue)
    yield Stage(widths=dict(widths), cost=total, error=0.0)
    while queue:
        claimed, name = heapq.heappop(queue)
        # Savings shrink as neighbours do, so a ratio can only have grown since it was pushed.
        if (now := ratio(name)) > claimed and queue and now > queue[0][0]:
            heapq.heappush(queue, (now, name))
            continue
        total -= saved(name)
        before = widths[name]
        widths[name] -= ladders[name].step(before)
        spent += ladders[name].error(widths[name]) - ladders[name].error(before)
        if ladders[name].step(widths[name]):
            heapq.heappush(queue, (ratio(name), name))
        yield Stage(widths=dict(widths), cost=total, error=max(0.0, spent))


def refill(
    stage: Stage, prices: Mapping[str, Price], cost: Cost, *, limit: float, round_to: int = 1
) -> Stage:
    """Give neurons back while they fit: the last step of a descent may have saved too much.

    Args:
        stage: One of a descent, that costs at most the limit.
        prices: By the group's name.
        cost: What is limited.
        limit: The most that it may be.
        round_to: As in the descent.

    Returns:
        A stage of which no group can take its next step back without exceeding the limit.
    """
    ladders = {name: _Ladder(price, round_to) for name, price in prices.items()}
    terms, widths, spent = cost.by_group(), dict(stage.widths), stage.cost
    while True:
        options = []
        for name, ladder in ladders.items():
            above = ladder.above(widths[name])
            wider = {**widths, name: above}
            extra = saving(terms.get(name, ()), name, wider, steps=above - widths[name])
            if above > widths[name] and spent + extra <= limit:
                gain = ladder.error(widths[name]) - ladder.error(above)
                options.append((gain, -extra, name, above))
        if not options:
            error = sum(ladders[name].error(width) for name, width in widths.items())
            return Stage(widths=widths, cost=spent, error=error)
        _, extra, name, widths[name] = max(options)
        spent -= extra


class _Ladder:
    """The widths that a group may have, and the slope of its price's convex hull at each."""

    def __init__(self, price: Price, round_to: int) -> None:
        n = price.neurons
        multiples = range(round_to * ((n - 1) // round_to), 0, -round_to)
        self.widths: list[int] = [n, *multiples]
        self.rank = {width: position for position, width in enumerate(self.widths)}
        errors = price.errors.double().cpu().numpy()
        self.errors = errors[[n - width for width in self.widths]]
        self.slopes = _hull_slopes(n - np.array(self.widths), self.errors)

    def step(self, width: int) -> int:
        """How many neurons go next; 0 at the end."""
        position = self.rank[width]
        return width - self.widths[position + 1] if position + 1 < len(self.widths) else 0

    def above(self, width: int) -> int:
        """The next larger width, or the width itself at the top."""
        return self.widths[max(0, self.rank[width] - 1)]

    def slope(self, width: int) -> float:
        """The error of the next step on the hull."""
        return float(self.slopes[self.rank[width]]) * self.step(width)

    def error(self, width: int) -> float:
        """The price of a width."""
        return float(self.errors[self.rank[width]])


def _hull_slopes(removed: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The slope of the lower convex hull on every interval, by pooling adjacent violators."""
    pools: list[tuple[float, float, int]] = []  # rise, run, intervals
    steps: Sequence[tuple[float, float]] = list(
        zip(np.diff(errors).tolist(), np.diff(removed).tolist(), strict=True)
    )
    for rise, run in steps:
        pools.append((rise, run, 1))
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            right, left = pools.pop(), pools.pop()
            pools.append((left[0] + right[0], left[1] + right[1], left[2] + right[2]))
    return np.array([rise / run for rise, run, count in pools for _ in range(count)])
