"""Size against expected error, and where the pruned network lies.

The drawings of this package are written by templates of its own. A chart library was weighed first:
the smallest script that draws these inline is 0.8 MB (Vega), Bokeh's 1.3, Plotly's 4.8; none makes
its points reachable from a keyboard or draws without its script, and files for papers would need a
browser. What is drawn here are lines, bars and dots on one axis each, in a hundred kilobytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coreprune.report.axes import Axis, from_zero
from coreprune.report.numbers import number, percent
from coreprune.report.page import NARROW, Chart
from coreprune.report.rendering import filled
from coreprune.report.rows import LETTER

TOLD = 4
"""Groups whose widths a point tells: more fit on no line."""

SPREAD = ("the outputs' own spread", "spread of the original's own outputs")
"""Short and long."""

FAR = 2.5
"""Times the largest error: a spread beyond that would press the curve flat, and is left out."""


OF_OUTPUTS = "expected error of the outputs, in their units"
OF_READERS = "expected error, in the units of what reads the layers"
"""What is drawn upwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The network that was cut.

    Attributes:
        size: Its share of the parameters.
        expected: Its expected error; None where the curve is not in the units of the outputs: then
            nothing that is has a place beside it.
        measured: What was measured of it; None where that is not known.
        spread: The standard deviation of the original's outputs, likewise.
    """

    size: float
    expected: float | None
    measured: float | None
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A point, where it is and what it says."""

    x: float
    y: float
    kind: str
    says: str
    label: str = ""
    label_x: float = 0.0


def curve_chart(points: Sequence[Mapping[str, Any]], chosen: Chosen) -> Chart:
    """The curve as a drawing.

    Args:
        points: Of the record's curve, at least one.
        chosen: The network that was cut.

    Returns:
        The drawing.
    """
    if chosen.expected is None:
        chosen = replace(chosen, measured=None, spread=None)
    title = f"Expected error against size, of {len(points)} networks from whole to smallest"

    def draw(width: int) -> str:
        height = 320 if width > NARROW else 280
        x = Axis(low=0.0, high=1.0, start=46, end=width - 16)
        y = from_zero(_heights(points, chosen), start=height - 44, end=34)
        curve = [_mark_of(point, x, y) for point in points if _is_drawn(point["expected_error"], y)]
        return filled(
            "curve.svg",
            title=title,
            unit=OF_READERS if chosen.expected is None else OF_OUTPUTS,
            width=width,
            height=height,
            x=x,
            y=y,
            across=[(tick, f"{tick:.0%}") for tick in x.ticks(5)],
            up=[(tick, number(tick)) for tick in y.ticks()],
            curve=curve,
            chosen=list(_chosen_marks(chosen, x, y)),
            spread=chosen.spread if _is_shown(chosen.spread, y) else None,
            spread_words=f"{SPREAD[width > NARROW]}: {number(chosen.spread)}",
        )

    return Chart(name="curve", title=title, draw=draw)


def _heights(points: Sequence[Mapping[str, Any]], chosen: Chosen) -> list[float]:
    errors = [float(point["expected_error"]) for point in points]
    marks = [value for value in (chosen.expected, chosen.measured) if value is not None]
    largest = max([*errors, *marks])
    near = chosen.spread is not None and 0 < chosen.spread <= FAR * largest
    return [*errors, *marks, *([chosen.spread] if near and chosen.spread is not None else [])]


def _is_drawn(value: float, y: Axis) -> bool:
    return value > 0 or not y.powers


def _is_shown(value: float | None, y: Axis) -> bool:
    return value is not None and y.low < value <= y.high


def _mark_of(point: Mapping[str, Any], x: Axis, y: Axis) -> _Mark:
    size, error = float(point["parameters"]), float(point["expected_error"])
    says = [
        f"{percent(size)} of the parameters",
        f"expected error {number(error)}",
        f"{percent(point['flops'])} of the operations",
    ]
    widths = point["widths"]
    if len(widths) <= TOLD:
        says.append(", ".join(f"{name} {width}" for name, width in widths.items()))
    return _Mark(x=x.place(size), y=y.place(error), kind="dot", says="; ".join(says))


def _chosen_marks(chosen: Chosen, x: Axis, y: Axis) -> list[_Mark]:
    """The diamonds: what was expected, filled, and what was measured, open."""
    given = [
        ("expected", chosen.expected, f"◆ this network: {number(chosen.expected)}"),
        ("measured", chosen.measured, f"◇ measured: {number(chosen.measured)}"),
    ]
    room = LETTER * max(len(label) for _, _, label in given)
    label_x = min(x.place(chosen.size) + 14, x.end - room)
    return [
        _Mark(
            x=x.place(chosen.size),
            y=y.place(value),
            kind=kind,
            says=f"{percent(chosen.size)} of the parameters; {kind} error {number(value)}",
            label=label,
            label_x=label_x,
        )
        for kind, value, label in given
        if value is not None and value < float("inf") and _is_drawn(value, y)
    ]
