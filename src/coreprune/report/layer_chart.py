"""Layers before and after as bars, one in the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from coreprune.report.axes import Axis
from coreprune.report.numbers import count, share
from coreprune.report.page import NARROW, Chart
from coreprune.report.rendering import filled
from coreprune.report.rows import HIGH_ROW, ROW, TOP, label_width, shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBar:
    """A layer's neurons.

    Attributes:
        name: The layer.
        before: Its neurons.
        after: Those kept.
    """

    name: str
    before: int
    after: int


def layer_chart(bars: Sequence[LayerBar]) -> Chart:
    """The layers as a drawing.

    Args:
        bars: At least one.

    Returns:
        The drawing.
    """
    title = f"Neurons of {len(bars)} layers before and after"

    def draw(width: int) -> str:
        beside = width > NARROW
        left = label_width([bar.name for bar in bars]) if beside else 1
        longest = max(bar.before for bar in bars)
        x = Axis(low=0.0, high=float(longest), start=left, end=width - (150 if beside else 1))
        names = shortened([bar.name for bar in bars], left if beside else width - 140)
        step = ROW if beside else HIGH_ROW
        return filled(
            "layers.svg",
            title=title,
            width=width,
            height=TOP + step * len(bars),
            beside=beside,
            left=left,
            rows=[
                {
                    "name": names[place],
                    "numbers": f"{count(bar.before)} → {count(bar.after)}",
                    "share": share(bar.after, bar.before),
                    "says": f"{bar.name}; {count(bar.before)} → {count(bar.after)} neurons; "
                    f"{share(bar.after, bar.before)} left",
                    "top": TOP + step * place,
                    "before": x.place(bar.before) - left,
                    "after": x.place(bar.after) - left,
                }
                for place, bar in enumerate(bars)
            ],
        )

    return Chart(name="layers", title=title, draw=draw)
