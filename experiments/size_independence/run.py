"""Error of a fixed number of draws against the neurons there are, by what becomes of t."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from coreprune.core.selection.importance import importance_draws
from experiments.coreset_trials import Layer, error_of_one_draw, largest_output, mean_and_deviation
from experiments.figure import save
from experiments.provenance import provenance
from experiments.random_layers import gaussian, random_layer, with_total
from experiments.spread import interval
from experiments.worst_query import Search, residual, worst_queries

NUM_DRAWS, DIMENSION, TOTAL, DELTA = 100, 16, 1.0, 0.05
TOLERANCE = 0.05  # a slope this near to the claimed one counts as that one


def _fixed_positive(n: int, seed: int) -> Layer:
    return with_total(random_layer(gaussian, n=n, d=DIMENSION, seed=seed, signed=False), TOTAL)


def _fixed_signed(n: int, seed: int) -> Layer:
    return with_total(random_layer(gaussian, n=n, d=DIMENSION, seed=seed), TOTAL)


def _growing(n: int, seed: int) -> Layer:
    return random_layer(gaussian, n=n, d=DIMENSION, seed=seed)


# What is done to the weights, how the layer is made, the slope of log error against log n claimed.
REGIMES: tuple[tuple[str, Callable[[int, int], Layer], float], ...] = (
    ("t fixed, positive weights", _fixed_positive, 0.0),
    ("t fixed, signed weights", _fixed_signed, 0.0),
    ("t growing, signed weights", _growing, 1.0),
)


def run(*, quick: bool) -> dict[str, Any]:
    """Measure every regime at every n.

    Args:
        quick: Whether layers of at most 10,000 neurons, few seeds and a short search do.

    Returns:
        The choices, one record a regime and n, one slope a regime.
    """
    started = time.process_time()
    sizes = [100, 1000, 10_000] if quick else [round(10 ** (2 + i / 2)) for i in range(7)]
    layer_seeds, draw_seeds = (range(2), range(4)) if quick else (range(10), range(20))
    search = Search(queries=300, restarts=4, steps=20 if quick else 40)
    rows, slopes = [], {}
    for regime, make, claimed in REGIMES:
        errors = []
        for n in sizes:
            layers = [make(n, seed) for seed in layer_seeds]
            found = [_errors(layer, draw_seeds, search=search) for layer in layers]
            errors.append([float(worst.mean()) for worst, _ in found])
            rows.append({"regime": regime, "n": n, **_row(layers, found, search=search)})
        slopes[regime] = {"claimed": claimed, **_slope(sizes, errors)}
    return {
        "quick": quick,
        **provenance(seeds=tuple(layer_seeds), started=started, data="drawn at random"),
        "choices": {
            "num_draws": NUM_DRAWS,
            "dimension": DIMENSION,
            "fixed_total": TOTAL,
            "delta": DELTA,
            "tolerance": TOLERANCE,
            "search": asdict(search),
            "draw_seeds": list(draw_seeds),
        },
        "rows": rows,
        "slopes": slopes,
    }


def _errors(layer: Layer, seeds: range, *, search: Search) -> tuple[Tensor, list[int]]:
    """The largest error found of each seed's coreset, and the neurons it has."""
    s = layer.sensitivities()
    subsets = [
        importance_draws(
            layer.weights, s, num_draws=NUM_DRAWS, generator=Generator().manual_seed(seed)
        )
        for seed in seeds
    ]
    found = worst_queries(
        layer.neurons,
        torch.stack([residual(layer.weights, subset) for subset in subsets]),
        search=search,
        generator=Generator().manual_seed(0),
    )
    return found.peak, [len(subset.indices) for subset in subsets]


def _row(
    layers: Sequence[Layer], found: Sequence[tuple[Tensor, list[int]]], *, search: Search
) -> dict[str, Any]:
    errors = torch.cat([worst for worst, _ in found])
    outputs = [largest_output(layer, search=search, seed=0) for layer in layers]
    return {
        "coresets": len(errors),
        "total": mean_and_deviation([float(layer.sensitivities().sum()) for layer in layers]),
        "largest_output": mean_and_deviation(outputs),
        "kept": mean_and_deviation([kept for _, of_layer in found for kept in of_layer]),
        "error": mean_and_deviation(errors.tolist()),
        "error_of_output": mean_and_deviation(
            [
                float(worst.mean()) / output
                for (worst, _), output in zip(found, outputs, strict=True)
            ]
        ),
        "quantile": float(errors.quantile(1 - DELTA)),
        "eps": mean_and_deviation(
            [error_of_one_draw(layer, delta=DELTA) / math.sqrt(NUM_DRAWS) for layer in layers]
        ),
    }


def _slope(sizes: Sequence[int], errors: Sequence[Sequence[float]]) -> dict[str, float]:
    """The least-squares slope of log error against log n: one fit a seed, and their spread.

    Args:
        sizes: n.
        errors: For each n, the mean error of each seed.

    Returns:
        The mean and standard deviation over the seeds, and the mean's 95 % confidence interval.
    """
    x = torch.tensor([math.log(n) for n in sizes], dtype=torch.float64)
    y = torch.tensor(errors, dtype=torch.float64).log()
    x = x - x.mean()
    fits = ((x @ y) / (x @ x)).tolist()
    low, high = interval(fits)
    return {**mean_and_deviation(fits), "low": low, "high": high}


def table(results: dict[str, Any]) -> str:
    """The slopes as a verdict, then every regime and n.

    Args:
        results: From `run`.

    Returns:
        Markdown.
    """
    choices, slopes = results["choices"], results["slopes"]
    seeds = f"{len(results['seeds'])} layers × {len(choices['draw_seeds'])} coresets"
    lines = [
        "| claimed: slope of log error against log n | measured | verdict | seeds | time |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {regime}: {slope['claimed']:.0f} | {slope['mean']:+.3f}, 95 % interval "
        f"{slope['low']:+.3f} to {slope['high']:+.3f} | {_verdict(slope)} "
        f"| {seeds} | {results['seconds']:.0f} s, all of it |"
        for regime, slope in slopes.items()
    ]
    quantile = f"{1 - choices['delta']:.0%}"
    lines += [
        "",
        f"Largest error found over the ball, {choices['num_draws']} draws, in units of t.",
        "",
        f"| weights | n | t | neurons kept | error | {quantile} quantile of the error | "
        f"ε(m, δ), a priori | error, % of sup &#124;f&#124; |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in results["rows"]]
    return "\n".join(lines)


def _verdict(slope: dict[str, float]) -> str:
    """Whether the whole interval of the slope is within the tolerance of the claim."""
    low, high = slope["low"] - slope["claimed"], slope["high"] - slope["claimed"]
    if low >= -TOLERANCE and high <= TOLERANCE:
        return f"holds within ±{TOLERANCE}"
    if low > TOLERANCE or high < -TOLERANCE:
        return f"does not hold within ±{TOLERANCE}"
    return f"not decided within ±{TOLERANCE}"


def _line(row: dict[str, Any]) -> str:
    t = row["total"]["mean"]
    return (
        f"| {row['regime']} | {row['n']:,} | {t:.4g} | {row['kept']['mean']:.1f} | "
        f"{row['error']['mean'] / t:.4f} ± {row['error']['sd'] / t:.4f} | "
        f"{row['quantile'] / t:.4f} | {row['eps']['mean'] / t:.4f} | "
        f"{100 * row['error_of_output']['mean']:.0f} |"
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel a regime: error, its quantile, the a-priori ε and sup|f| against n.

    Args:
        results: From `run`.
        path: The SVG file.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(REGIMES))
    for axes, (regime, slope) in zip(panels, results["slopes"].items(), strict=True):
        rows = [row for row in results["rows"] if row["regime"] == regime]
        sizes = [row["n"] for row in rows]
        mean = [row["error"]["mean"] for row in rows]
        deviation = [row["error"]["sd"] for row in rows]
        axes.errorbar(sizes, mean, yerr=deviation, marker="o", markersize=3, label="error found")
        axes.plot(sizes, [row["quantile"] for row in rows], "--", label="its 1 − δ quantile")
        axes.plot(sizes, [row["eps"]["mean"] for row in rows], "k-", label="ε(m, δ), a priori")
        axes.plot(sizes, [row["largest_output"]["mean"] for row in rows], "k:", label="sup |f|")
        axes.set(xscale="log", yscale="log", xlabel="neurons n")
        axes.set_title(f"{regime}: slope {slope['mean']:+.3f}", fontsize=9)
        axes.minorticks_off()
    panels[0].set_ylabel("largest error over the ball")
    panels[-1].legend(fontsize=7)
    save(figure, path)
