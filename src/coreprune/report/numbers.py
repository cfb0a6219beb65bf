"""Numbers as people read them."""

import math
from collections.abc import Sequence

MISSING = "–"

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

BYTES = ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))
OPERATIONS = (
    (1, "FLOPs"), (1e3, "kFLOPs"), (1e6, "MFLOPs"), (1e9, "GFLOPs"), (1e12, "TFLOPs"),
)  # fmt: skip
SECONDS = ((1e-6, "µs"), (1e-3, "ms"), (1, "s"))


def number(value: float | None) -> str:
    """Three digits, as 0.432, 132, 5,310 or 4.1 × 10⁻⁵; a dash for what is not known."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if value == 0 or 1e-3 <= size < 1e6:
        text = f"{value:,.0f}" if size >= 999.5 else f"{value:.3g}"
    else:
        digits, power = f"{value:.2g}".split("e") if "e" in f"{value:.2g}" else (f"{value:.2g}", "")
        text = f"{digits} × 10{str(int(power)).translate(_RAISED)}" if power else digits
    return text.replace("-", "−")


def score(value: float) -> str:
    """Four digits, as 0.9812, or a whole number with its thousands apart."""
    return count(value) if math.isfinite(value) and abs(value) >= 9999.5 else f"{value:.4g}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return MISSING if value is None else f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """A part of something, as 47.2 %; of nothing it is all."""
    return f"{part / whole:.1%}".replace("%", "\u202f%") if whole else "100\u202f%"


def percent(value: float) -> str:
    """A share that is known already."""
    return share(value, 1.0)


def pair(before: float, after: float, units: Sequence[tuple[float, str]]) -> str:
    """Two amounts in the unit that suits the first, as 1.07 → 0.503 MB."""
    scale, unit = next(
        (entry for entry in reversed(units) if abs(before) >= entry[0]),
        units[0],
    )
    return f"{number(before / scale)} → {number(after / scale)}\u202f{unit}"
