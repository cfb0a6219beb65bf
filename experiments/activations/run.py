"""Error of the coreset of one random layer under every activation, by method."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator

from coreprune.core.coreset import SAMPLERS
from coreprune.core.elementwise import Activation
from experiments.activations.family import envelope, family, in_the_papers_family, lipschitz
from experiments.coreset_trials import (
    Layer,
    Trial,
    coreset_trials,
    error_of_one_draw,
    largest_output,
    layer_spread,
    mean_and_deviation,
)
from experiments.figure import COLOURS, MARKERS, save
from experiments.provenance import provenance
from experiments.spread import interval
from experiments.worst_query import Neurons, Search

SHARES = (0.1, 0.25, 0.5)
COMPARED = 0.25  # the share at which methods are compared
DIMENSION, OUTPUTS, QUERY_RADIUS, DELTA = 32, 10, 5.0, 0.05


def run(*, quick: bool) -> dict[str, Any]:
    """Measure every activation on the same random layers.

    Args:
        quick: Whether small layers, two seeds and a short search do.

    Returns:
        The choices and one record an activation.
    """
    started = time.process_time()
    n, seeds, draws = (100, range(2), range(2)) if quick else (400, range(6), range(5))
    search = Search(queries=200, restarts=4, steps=15) if quick else Search(restarts=6)
    records = [
        _record(activation, n=n, seeds=seeds, draws=draws, search=search)
        for activation in family(n)
    ]
    return {
        "quick": quick,
        **provenance(seeds=tuple(seeds), started=started, data="drawn at random"),
        "choices": {
            "n": n,
            "d": DIMENSION,
            "outputs": OUTPUTS,
            "query_radius": QUERY_RADIUS,
            "delta": DELTA,
            "search": asdict(search),
            "draw_seeds": list(draws),
        },
        "activations": records,
    }


def random_layer(activation: Activation, *, n: int, seed: int) -> Layer:
    """A Gaussian layer.

    The norms ‖p_j‖ are spread log-normally around 1 (deviation ½ of the logarithm), the biases have
    deviation ½, the outgoing weights n^−½.
    """
    generator = Generator().manual_seed(seed)
    points = torch.randn(n, DIMENSION, generator=generator, dtype=torch.float64)
    norms = (torch.randn(n, 1, generator=generator, dtype=torch.float64) / 2).exp()
    neurons = Neurons(
        points=points * norms / math.sqrt(DIMENSION),
        bias=torch.randn(n, generator=generator, dtype=torch.float64) / 2,
        activation=activation,
        query_radius=QUERY_RADIUS,
    )
    weights = torch.randn(OUTPUTS, n, generator=generator, dtype=torch.float64) / math.sqrt(n)
    return Layer(neurons=neurons, weights=weights)


def _record(
    activation: Activation, *, n: int, seeds: range, draws: range, search: Search
) -> dict[str, Any]:
    layers = [random_layer(activation, n=n, seed=seed) for seed in seeds]
    totals = [float(layer.sensitivities().sum()) for layer in layers]
    peaks = [largest_output(layer, search=search, seed=0) for layer in layers]
    trials = [coreset_trials(layer, SHARES, seeds=draws, search=search) for layer in layers]
    ratios = [t / p for t, p in zip(totals, peaks, strict=True)]
    return {
        "activation": activation.name,
        "in_the_papers_family": in_the_papers_family(activation, n),
        "lipschitz": lipschitz(activation),
        "envelope": envelope(activation),
        "total": mean_and_deviation(totals),
        "total_of_output": mean_and_deviation(ratios),
        "spread_of_total": _finite(
            [layer_spread(layer) / t for layer, t in zip(layers, totals, strict=True)]
        ),
        "bound": _bound(layers, totals, trials),
        "rows": [
            {"method": method, "share": share, **_row(of_total, ratios)}
            for method in SAMPLERS
            for share in SHARES
            for of_total in [_errors(method, share, trials=trials, totals=totals)]
        ],
        "importance_less_uniform": _advantage(trials, totals),
    }


def _finite(values: Sequence[float]) -> dict[str, float] | None:
    return mean_and_deviation(values) if all(map(math.isfinite, values)) else None


def _errors(
    method: str, share: float, *, trials: list[list[Trial]], totals: list[float]
) -> list[list[float]]:
    """The largest errors found, over t: a list a layer."""
    return [
        [t.worst / total for t in of_layer if (t.method, t.share) == (method, share)]
        for of_layer, total in zip(trials, totals, strict=True)
    ]


def _row(of_total: list[list[float]], ratios: list[float]) -> dict[str, Any]:
    of_output = [[e * r for e in errors] for errors, r in zip(of_total, ratios, strict=True)]
    return {
        "coresets": sum(map(len, of_total)),
        "worst_of_total": mean_and_deviation([*chain.from_iterable(of_total)]),
        "worst_of_output": mean_and_deviation([*chain.from_iterable(of_output)]),
    }


def _bound(
    layers: list[Layer], totals: list[float], trials: list[list[Trial]]
) -> dict[str, Any] | None:
    """ε(m, δ) at the compared share, and how all importance coresets kept to it; None if ∞."""
    scales = [error_of_one_draw(layer, delta=DELTA) for layer in layers]
    if math.isinf(max(scales)):
        return None
    drawn = [
        (t, total, scale / math.sqrt(t.num_draws))
        for of_layer, total, scale in zip(trials, totals, scales, strict=True)
        for t in of_layer
        if t.num_draws
    ]
    at_compared = [eps / total for t, total, eps in drawn if t.share == COMPARED]
    return {
        "eps_of_total": mean_and_deviation(at_compared),
        "coresets": len(drawn),
        "exceeded": sum(t.worst > eps for t, _, eps in drawn),
        "largest_ratio": max(t.worst / eps for t, _, eps in drawn),
    }


def _advantage(trials: list[list[Trial]], totals: list[float]) -> dict[str, float]:
    """Importance minus uniform at the compared share, over t, paired by layer: 95 % interval."""
    importance, uniform = (
        map(statistics.fmean, _errors(method, COMPARED, trials=trials, totals=totals))
        for method in ("importance", "uniform")
    )
    low, high = interval([a - b for a, b in zip(importance, uniform, strict=True)])
    return {"low": low, "high": high}


def table(results: dict[str, Any]) -> str:
    """What is claimed beside what is measured; each activation's constants; its errors.

    Args:
        results: From `run`.

    Returns:
        Markdown.
    """
    records, choices = results["activations"], results["choices"]
    bounds = [record["bound"] for record in records if record["bound"]]
    exceeded, coresets = (sum(bound[key] for bound in bounds) for key in ("exceeded", "coresets"))
    better = sum(record["importance_less_uniform"]["high"] < 0 for record in records)
    worse = sum(record["importance_less_uniform"]["low"] > 0 for record in records)
    seeds = f"{len(results['seeds'])} layers × {len(choices['draw_seeds'])} coresets"
    ratio = max(bound["largest_ratio"] for bound in bounds)
    lines = [
        "| claimed | measured | seeds | time |",
        "|---|---|---|---|",
        "| importance: error ≤ ε(m, δ) with probability "
        f"{1 - choices['delta']:.2f}, for every Lipschitz activation | {exceeded} of {coresets} "
        f"coresets exceed it; error / ε at most {ratio:.2f} | {seeds}, each activation and size "
        f"| {results['seconds']:.0f} s, all of it |",
        "| sensitivities help (no figure claimed) | importance below uniform at "
        f"{COMPARED:.0%} kept, 95 % interval: {better} of {len(records)} activations, "
        f"above: {worse} | the same | |",
        "",
        f"| activation | paper's family | L | φ(z) = | t | Λ / t | ε(m, δ) / t, {COMPARED:.0%} "
        "kept |",
        "|---|---|---|---|---|---|---|",
        *map(_constants, records),
        "",
        "Largest error found over the ball and the outputs, % of t: mean over the coresets at "
        f"{', '.join(f'{share:.0%}' for share in SHARES)} kept; in brackets, the last, % of "
        "sup &#124;f&#124;.",
        "",
        f"| activation | {' | '.join(SAMPLERS)} |",
        "|---|" + "---|" * len(SAMPLERS),
        *map(_measured, records),
    ]
    return "\n".join(lines)


def _constants(record: dict[str, Any]) -> str:
    constant, spread, bound = record["lipschitz"], record["spread_of_total"], record["bound"]
    return (
        f"| {record['activation']} | {'yes' if record['in_the_papers_family'] else 'no'} "
        f"| {'∞' if constant is None else f'{constant:.4g}'} | {record['envelope']} "
        f"| {record['total']['mean']:.1f} "
        f"| {'∞' if spread is None else format(spread['mean'], '.2f')} "
        f"| {'no theorem' if bound is None else format(bound['eps_of_total']['mean'], '.3f')} |"
    )


def _measured(record: dict[str, Any]) -> str:
    cells = []
    for method in SAMPLERS:
        rows = [row for row in record["rows"] if row["method"] == method]
        errors = " / ".join(f"{100 * row['worst_of_total']['mean']:.2f}" for row in rows)
        cells.append(f"{errors} ({100 * rows[-1]['worst_of_output']['mean']:.0f})")
    return f"| {record['activation']} | {' | '.join(cells)} |"


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel a share kept: largest error over t of every activation and method.

    Args:
        results: From `run`.
        path: The SVG file.
    """
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = figure.subplots(len(SHARES), 1, sharex=True)
    for axes, share in zip(panels, SHARES, strict=True):
        _panel(axes, results["activations"], share)
    panels[0].legend(ncols=len(SAMPLERS), fontsize=8)
    panels[-1].tick_params(axis="x", rotation=60)
    figure.supylabel("largest error found / t, mean and deviation")
    save(figure, path)


def _panel(axes: Axes, records: list[dict[str, Any]], share: float) -> None:
    for shift, method in enumerate(SAMPLERS):
        rows = [
            row["worst_of_total"]
            for record in records
            for row in record["rows"]
            if (row["method"], row["share"]) == (method, share)
        ]
        axes.errorbar(
            [place + (shift - 1.5) / 6 for place in range(len(rows))],
            [row["mean"] for row in rows],
            yerr=[row["sd"] for row in rows],
            label=method,
            color=COLOURS[method],
            marker=MARKERS[method],
            markersize=3,
            linestyle="none",
        )
    axes.set_xticks(range(len(records)), [record["activation"] for record in records])
    axes.set_ylim(bottom=0)
    axes.set_title(f"{share:.0%} kept", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
