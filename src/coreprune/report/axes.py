"""Where values lie along an axis, and which of them are written there."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SPREAD = 50
"""Times the middle value: where the largest is beyond that, an axis goes by powers of ten."""

_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale from numbers to places.

    Attributes:
        low: The number at the start.
        high: The number at the end.
        start: The place of the first.
        end: The place of the last.
        powers: Whether equal steps are equal factors.
    """

    low: float
    high: float
    start: float
    end: float
    powers: bool = False

    def place(self, value: float) -> float:
        """Where a number lies; what is beyond an end lies on it."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        value = min(max(value, self.low), self.high)
        part = (self._scaled(value) - low) / (high - low)
        return round(self.start + part * (self.end - self.start), 2)

    def ticks(self, most: int = 6) -> list[float]:
        """The numbers that are written at it."""
        if not self.powers:
            return list(_even(self.low, self.high, most))
        first, last = (math.floor(math.log10(end) + 1e-9) for end in (self.low, self.high))
        steps = _STEPS if self.high <= 100 * self.low else (1,)
        every = max(1, math.ceil((last - first) / most))
        found = [step * 10.0**power for power in range(first, last + 1, every) for step in steps]
        return [tick for tick in found if 0.999 * self.low <= tick <= 1.001 * self.high]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.powers else value


def from_zero(values: Iterable[float], *, start: float, end: float) -> Axis:
    """An axis that begins at zero and holds all values, by powers of ten where they spread far."""
    known = sorted(value for value in values if 0 < value < math.inf)
    if not known:
        return Axis(low=0.0, high=1.0, start=start, end=end)
    if known[-1] > SPREAD * known[len(known) // 2]:
        return by_powers(known, start=start, end=end)
    return Axis(low=0.0, high=1.04 * known[-1], start=start, end=end)


def by_powers(values: Iterable[float], *, start: float, end: float) -> Axis:
    """An axis by powers of ten from a round number to another, that holds all above zero."""
    known = [value for value in values if 0 < value < math.inf] or [1.0]
    low, high = _rounded_down(min(known)), _rounded_up(max(known))
    return Axis(low=low, high=max(high, 10 * low), start=start, end=end, powers=True)


def _rounded_down(value: float) -> float:
    power = _power_below(value)
    return max(step * power for step in _STEPS if step * power <= value)


def _rounded_up(value: float) -> float:
    power = _power_below(value)
    return min(step * power for step in (*_STEPS, 10) if step * power >= value)


def _power_below(value: float) -> float:
    """The largest power of ten that is not above; logarithms of numbers just below one round up."""
    power = 10.0 ** math.floor(math.log10(value))
    return power if power <= value else power / 10


def _even(low: float, high: float, most: int) -> Iterator[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at most about so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    tick = math.ceil(low / step - 1e-9)
    while tick * step <= high * (1 + 1e-9):
        yield tick * step
        tick += 1
