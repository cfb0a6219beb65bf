"""Certificates and attacks as intervals: the truth lies between the two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coreprune.report.axes import Axis, by_powers
from coreprune.report.numbers import number
from coreprune.report.page import NARROW, Chart
from coreprune.report.rendering import filled
from coreprune.report.rows import HIGH_ROW, ROW, TOP, label_width, shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What is known of one change.

    Attributes:
        name: Of what.
        attack: Some query changes it by so much; None where none was looked for.
        certificate: No query changes it by more; None where nothing is proven.
        reason: Why something is not known, or an empty text.
    """

    name: str
    attack: float | None
    certificate: float | None
    reason: str = ""


def bound_chart(intervals: Sequence[Interval], *, name: str, caption: str) -> Chart:
    """The intervals as a drawing.

    Args:
        intervals: At least one.
        name: Of its file.
        caption: What they speak of.

    Returns:
        The drawing.
    """
    title = f"Largest change found and proven bound: {caption}"
    ends = [v for one in intervals for v in (one.attack, one.certificate) if v]

    def draw(width: int) -> str:
        beside = width > NARROW
        left = label_width([one.name for one in intervals]) if beside else 8
        x = by_powers(ends, start=left + 8, end=width - (190 if beside else 8))
        names = shortened([one.name for one in intervals], left if beside else width - 180)
        step = ROW if beside else HIGH_ROW
        bottom = TOP + step * len(intervals)
        return filled(
            "bounds.svg",
            title=title,
            width=width,
            height=bottom + 26,
            bottom=bottom,
            beside=beside,
            x=x,
            across=[(tick, _power(tick)) for tick in x.ticks(6 if beside else 4)],
            rows=[
                _row(one, x, top=TOP + step * place) | {"name": names[place]}
                for place, one in enumerate(intervals)
            ],
        )

    return Chart(name=name, title=title, draw=draw, caption=caption)


def _row(one: Interval, x: Axis, *, top: int) -> dict[str, object]:
    attack = one.attack if one.attack is not None and not math.isnan(one.attack) else None
    bound = one.certificate
    known = attack is not None and bound is not None and attack > 0
    says = [
        one.name,
        "no attack"
        if attack is None
        else f"an input was found that changes it by {number(attack)}",
        "nothing is proven"
        if bound is None
        else f"no input changes it by more than {number(bound)}",
        *([one.reason] if one.reason else []),
    ]
    return {
        "numbers": " – ".join(number(value) for value in (attack, bound) if value is not None),
        "ratio": _ratio(bound, attack) if known and bound and attack else "",
        "says": "; ".join(says),
        "top": top,
        "attack": None if attack is None else x.place(attack),
        "bound": None if bound is None else x.place(bound),
    }


def _ratio(bound: float, attack: float) -> str:
    ratio = bound / attack
    return f"× {ratio:.1f}" if ratio < 99.95 else f"× {number(ratio)}"


def _power(tick: float) -> str:
    return number(tick) if 1e-3 <= tick < 1e6 else number(tick).removeprefix("1 × ")
