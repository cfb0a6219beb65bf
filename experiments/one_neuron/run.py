"""Error of the coreset of one neuron against its size, by law of the layer and by method."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coreprune.core.coreset import SAMPLERS
from experiments.figure import COLOURS, MARKERS, save
from experiments.one_neuron.measure import SLOPE_SHARE, SVD, measure
from experiments.one_neuron.trained import QUERY_RADIUS, first_output, trained_layers
from experiments.provenance import provenance
from experiments.random_layers import LAWS, random_layer
from experiments.worst_query import Search

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
SHOWN = (0.02, 0.1, 0.4)


def run(*, quick: bool) -> dict[str, Any]:
    """Measure every kind of layer.

    Args:
        quick: Whether smaller layers, fewer seeds and a shorter search do.

    Returns:
        The choices and one record a kind of layer.
    """
    n, d, layers, draws = (300, 16, 2, range(2)) if quick else (1000, 32, 5, range(10))
    search = Search(queries=200, restarts=4, steps=20) if quick else Search()
    shares = SHOWN if quick else SHARES
    networks = range(1 if quick else 3)
    whole, mean_norm, source = trained_layers(seeds=networks, quick=quick)
    started = time.process_time()  # training is not what is measured here
    cases = []
    for signed in (False, True):
        for name, law in LAWS.items():
            drawn = [random_layer(law, n=n, d=d, seed=s, signed=signed) for s in range(layers)]
            record = measure(drawn, shares, draws=draws, search=search)
            cases.append({"case": f"{name}, {'signed' if signed else 'positive'}", **record})
    one = [first_output(layer) for layer in whole]
    cases.append({"case": "LeNet, one", **measure(one, shares, draws=draws, search=search)})
    few = range(min(5, len(draws)))
    cases.append({"case": "LeNet, layer", **measure(whole, shares, draws=few, search=search)})
    return {
        "quick": quick,
        **provenance(seeds=tuple(draws), started=started, data=source),
        "choices": {
            "search": asdict(search),
            "random_layer_seeds": list(range(layers)),
            "network_seeds": list(networks),
            "draw_seeds_of_the_whole_layer": list(few),
            "query_radius": {"random": 1.0, "LeNet": QUERY_RADIUS},
            "mean_norm_of_a_training_digit": mean_norm,
        },
        "cases": cases,
    }


def table(results: dict[str, Any]) -> str:
    """What is claimed beside what is measured, then the errors of every method.

    Args:
        results: From `run`.

    Returns:
        Markdown.
    """
    cases, choices = results["cases"], results["choices"]
    seeds = (
        f"{len(choices['random_layer_seeds'])} layers or {len(choices['network_seeds'])} networks,"
        f" {len(results['seeds'])} draws each"
    )
    slopes = [case["slopes"]["importance"]["mean"] for case in cases]
    bounds = [case["bound"] for case in cases]
    confidence = 1 - bounds[0]["delta"]
    exceeded, coresets = (sum(bound[key] for bound in bounds) for key in ("exceeded", "trials"))
    ratio = max(bound["largest_ratio"] for bound in bounds)
    search = min(case["found_of_harder_search"] for case in cases)
    lines = [
        "| claimed | measured | seeds | time |",
        "|---|---|---|---|",
        f"| importance: error falls as draws^−½ (slope −0.5 up to {SLOPE_SHARE:.0%} kept) "
        f"| slopes {min(slopes):.2f} to {max(slopes):.2f} over the layers below "
        f"| {seeds} | {results['seconds']:.0f} s, all of it |",
        f"| importance: error ≤ ε(m, δ) with probability {confidence:.2f} | {exceeded} of "
        f"{coresets} coresets exceed it; error / ε at most {ratio:.2f} | the same | |",
        "| (check) the search finds the worst query | against twelve times the steps: "
        f"{search:.1%} of the error in the worst case below | the first layer, 3 draws | |",
        "",
        "Largest error found, % of t = Σ_j max_i |w_ij| sup |φ_j|, mean ± standard deviation; "
        "in brackets, % of sup |f|. Slope: of log error against log draws (importance) or log",
        f"neurons kept (the others), up to {SLOPE_SHARE:.0%} kept.",
        "",
        "| layer (sup of the output itself) | method | "
        + " | ".join(f"{share:.0%} kept" for share in SHOWN)
        + " | slope |",
        "|---|---|" + "---|" * (len(SHOWN) + 1),
    ]
    for case in cases:
        lines += [_line(case, method) for method in (*SAMPLERS, SVD)]
    return "\n".join(lines)


def _line(case: dict[str, Any], method: str) -> str:
    whole = case["largest_output_of_total"]["mean"]
    cells = [
        f"{100 * row['worst_of_total']['mean']:.2f} ± {100 * row['worst_of_total']['sd']:.2f}"
        f" ({100 * row['worst_of_output']['mean']:.0f})"
        for share in SHOWN
        for row in case["rows"]
        if (row["method"], row["share"]) == (method, share)
    ]
    slope = case["slopes"].get(method)
    fitted = f"{slope['mean']:.2f} ± {slope['sd']:.2f}" if slope else "–"
    return f"| {case['case']} ({100 * whole:.1f}) | {method} | {' | '.join(cells)} | {fitted} |"


def draw(results: dict[str, Any], path: Path) -> None:
    """One panel a kind of layer: largest error over t against neurons kept, both logarithmic.

    Args:
        results: From `run`.
        path: The SVG file.
    """
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    for axes, case in zip(figure.subplots(2, 4).flat, results["cases"], strict=True):
        _panel(axes, case)
    figure.axes[0].legend(fontsize=7)
    figure.supxlabel("neurons kept (truncated SVD: neurons of the same price)")
    figure.supylabel("largest error found / t")
    save(figure, path)


def _panel(axes: Axes, case: dict[str, Any]) -> None:
    for method in (*SAMPLERS, SVD):
        rows = [row for row in case["rows"] if row["method"] == method]
        kept = [row["kept"]["mean"] for row in rows]
        mean = [row["worst_of_total"]["mean"] for row in rows]
        deviation = [row["worst_of_total"]["sd"] for row in rows]
        low = [max(m - s, m / 3) for m, s in zip(mean, deviation, strict=True)]
        high = [m + s for m, s in zip(mean, deviation, strict=True)]
        colour = COLOURS.get(method, "#E69F00")
        look = {"color": colour, "marker": MARKERS.get(method, "v"), "markersize": 3}
        axes.plot(kept, mean, label=method, linewidth=1, **look)
        axes.fill_between(kept, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(
        case["largest_output_of_total"]["mean"],
        color="black",
        linewidth=0.8,
        linestyle=":",
        label="the output itself",
    )
    axes.set(xscale="log", yscale="log", title=case["case"])
    axes.minorticks_off()
