"""LeNet-300-100 right after pruning, by every method, without data and without fine-tuning."""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import coreprune
from coreprune.budget import Keep
from coreprune.core.coreset import METHODS, Method
from experiments import figure, mnist
from experiments.lenet import PARAMETERS, Recipe, error, num_parameters, trained
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import mean_spread, spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks.
        widths: Neurons kept in fc1 and fc2; half of each, 30 % of each, and by hand.
        budget: The share of parameters to keep where the library chooses the widths.
        recipe: Of the trained networks.
    """

    seeds: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    recipe: Recipe
    budget: float = 0.1


BY_BUDGET = "by budget"
WIDTHS = ((150, 50), (90, 30), (60, 40), (32, 35), (20, 20))
FULL = Plan(seeds=(0, 1, 2, 3, 4), widths=WIDTHS, recipe=Recipe())
QUICK = Plan(seeds=(0,), widths=WIDTHS[::2], recipe=Recipe(epochs=3, peak_rate=0.1))


def run(*, quick: bool) -> dict[str, Any]:
    """Prune every trained network to every size by every method and read the test error.

    Nothing is chosen by this run. The widths are given; (32, 35) was the best of several in an
    earlier prototype that read test images, so that row may flatter.

    Args:
        quick: One seed, small data.

    Returns:
        The runs with the share of parameters removed and the errors, in percent.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    runs = []
    for seed in progress(plan.seeds, "networks"):
        model = trained(digits, seed=seed, recipe=plan.recipe).model
        cuts = [("not pruned", (300, 100), model, 0.0)]
        keeps = {widths: _shares(widths) for widths in plan.widths}
        for widths, keep in {**keeps, BY_BUDGET: coreprune.Budget(parameters=plan.budget)}.items():
            for method in METHODS:
                before = time.perf_counter()
                small = _cut(model, keep, method=method, seed=seed)
                cuts.append((method, widths, small, time.perf_counter() - before))
        runs += [
            {
                "seed": seed,
                "method": method,
                "widths": widths if widths == BY_BUDGET else list(widths),
                "removed": round(100 * (1 - num_parameters(small) / PARAMETERS), 2),
                "error": round(error(small, digits.test_images, digits.test_labels), 3),
                "seconds": round(seconds, 3),
            }
            for method, widths, small, seconds in cuts
        ]
    return {
        "choices": asdict(plan),
        "runs": runs,
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _shares(widths: tuple[int, int]) -> dict[str, float]:
    return {"fc1": widths[0] / 300, "fc2": widths[1] / 100}


def _cut(model: nn.Sequential, keep: Keep, *, method: Method, seed: int) -> nn.Module:
    """The library's defaults, with a grey image of about the data's norm as the example."""
    grey = torch.full((1, 784), 1 / 3)
    return coreprune.prune(model, grey, keep=keep, method=method, seed=seed).model


def _values(results: dict[str, Any], method: str, widths: object, *, key: str) -> list[float]:
    return [
        entry[key]
        for entry in results["runs"]
        if entry["method"] == method and entry["widths"] == widths
    ]


def _methods(results: dict[str, Any]) -> list[str]:
    """The methods that were measured, in the order of the runs."""
    return [name for name in dict.fromkeys(r["method"] for r in results["runs"]) if name in METHODS]


def table(results: dict[str, Any]) -> str:
    """Test errors by size and method."""
    methods = _methods(results)
    lines = [
        "| removed, % | widths | " + " | ".join(methods) + " | optimal, seconds |",
        "|---|---|" + "---|" * (len(methods) + 1),
    ]
    for widths in [*map(list, results["choices"]["widths"]), BY_BUDGET]:
        cells = [mean_spread(_values(results, name, widths, key="error")) for name in methods]
        removed = statistics.mean(_values(results, "optimal", widths, key="removed"))
        seconds = statistics.median(_values(results, "optimal", widths, key="seconds"))
        name = widths if widths == BY_BUDGET else f"{widths[0]}, {widths[1]}"
        lines.append(f"| {removed:.1f} | {name} | {' | '.join(cells)} | {seconds:.2f} |")
    whole = mean_spread(_values(results, "not pruned", [300, 100], key="error"))
    return "\n".join([
        *lines,
        "",
        f"Test error in percent; the networks themselves have {whole}. Mean ± standard deviation "
        f"over {len(results['seeds'])} networks (seeds {', '.join(map(str, results['seeds']))}), "
        "one coreset each. Widths of importance are expectations; removed is that of optimal. "
        "Seconds are the median of the whole call, export and checks included.",
        f"Data: {results['data']}, for the test error alone. coreprune {results['coreprune']}, "
        f"torch {results['torch']}, one thread; {results['seconds']:.0f} s of processor time.",
    ])  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """Test error against the share of parameters kept."""
    drawing, axes = figure.one_panel()
    sizes = [list(widths) for widths in results["choices"]["widths"]]
    shares = [
        100 - statistics.mean(_values(results, "optimal", widths, key="removed"))
        for widths in sizes
    ]
    for method in _methods(results):
        errors = [_values(results, method, widths, key="error") for widths in sizes]
        axes.errorbar(
            shares,
            [statistics.mean(values) for values in errors],
            yerr=[spread(values) for values in errors],
            marker=figure.MARKERS[method],
            color=figure.COLOURS[method],
            capsize=3,
            label=method,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(shares, [f"{share:.0f}" for share in shares])
    axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("parameters kept, %")
    axes.set_ylabel("test error right after pruning, %")
    axes.legend()
    figure.save(drawing, path)
