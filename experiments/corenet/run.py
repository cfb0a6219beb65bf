"""Error against the numbers kept: CoreNet's edges, and neurons, without fine-tuning."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Generator, Tensor, nn

from coreprune.core.coreset import SAMPLERS
from experiments import figure, mnist
from experiments.corenet.sampler import corenet, num_nonzeros
from experiments.cut import cut
from experiments.lenet import PARAMETERS, Recipe, error, trained
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import mean_spread, spread

EDGES = "corenet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks.
        draws: Repetitions a network of the random methods.
        widths: Neurons kept in fc1 and fc2, which set the number of parameters for all methods.
        num_points: Training images that CoreNet's sensitivities come from.
        recipe: Of the trained networks.
    """

    seeds: tuple[int, ...]
    draws: int
    widths: tuple[tuple[int, int], ...]
    num_points: int
    recipe: Recipe


WIDTHS = ((150, 80), (100, 60), (60, 40), (34, 25), (20, 20))
FULL = Plan(seeds=(0, 1, 2, 3, 4), draws=3, widths=WIDTHS, num_points=100, recipe=Recipe())
QUICK = Plan(
    seeds=(0,),
    draws=1,
    widths=WIDTHS[::2],
    num_points=20,
    recipe=Recipe(epochs=3, peak_rate=0.1),
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune every trained network to every size by every method and read the test error.

    Nothing is chosen by the test set: sizes, points and constants are fixed beforehand.

    Args:
        quick: One seed, one draw, small data.

    Returns:
        The runs with their nonzeros and errors in percent.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    points = digits.train_images[: plan.num_points]
    runs = []
    for seed in progress(plan.seeds, "networks"):
        model = trained(digits, seed=seed, recipe=plan.recipe).model
        whole = error(model, digits.test_images, digits.test_labels)
        runs.append(_entry(seed, "not pruned", model, size=PARAMETERS, test_error=whole))
        for method, size, small in _small_networks(model, points, plan, seed=seed):
            test_error = error(small, digits.test_images, digits.test_labels)
            runs.append(_entry(seed, method, small, size=size, test_error=test_error))
    return {
        "choices": asdict(plan),
        "runs": runs,
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _small_networks(
    model: nn.Sequential, points: Tensor, plan: Plan, *, seed: int
) -> Iterator[tuple[str, int, nn.Sequential]]:
    """Method, nominal number of parameters and network, for every size, method and draw."""
    for first, second in plan.widths:
        size = 785 * first + (first + 1) * second + (second + 1) * 10
        for draw in range(plan.draws):
            draw_seed = 1000 * seed + draw
            for method in SAMPLERS:
                yield method, size, cut(model, (first, second), method=method, seed=draw_seed)
            generator = Generator().manual_seed(draw_seed)
            sparse = corenet(model, points, num_nonzeros=size, generator=generator)
            yield EDGES, size, sparse


def _entry(
    seed: int, method: str, model: nn.Sequential, *, size: int, test_error: float
) -> dict[str, Any]:
    return {
        "seed": seed,
        "method": method,
        "size": size,
        "nonzeros": num_nonzeros(model),
        "error": round(test_error, 3),
    }


def _entries(results: dict[str, Any], method: str, size: int) -> list[dict[str, Any]]:
    return [
        entry for entry in results["runs"] if (entry["method"], entry["size"]) == (method, size)
    ]


def _network_means(results: dict[str, Any], method: str, size: int) -> list[float]:
    """The mean error over the draws, network by network."""
    entries = _entries(results, method, size)
    return [
        statistics.mean(entry["error"] for entry in entries if entry["seed"] == seed)
        for seed in results["seeds"]
    ]


def _sizes(results: dict[str, Any]) -> list[int]:
    sizes = {entry["size"] for entry in results["runs"] if entry["method"] == EDGES}
    return sorted(sizes, reverse=True)


def table(results: dict[str, Any]) -> str:
    """Errors by size and method, and what follows from them."""
    names = (*SAMPLERS, EDGES)
    lines = [
        "| nonzeros kept, % | widths | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for (first, second), size in zip(results["choices"]["widths"], _sizes(results), strict=True):
        cells = " | ".join(mean_spread(_network_means(results, name, size), 1) for name in names)
        lines.append(f"| {100 * size / PARAMETERS:.1f} | {first}, {second} | {cells} |")
    choices = results["choices"]
    whole = mean_spread(_network_means(results, "not pruned", PARAMETERS))
    return "\n".join(
        [
            *lines,
            "",
            f"Test error in percent without fine-tuning; the networks themselves have {whole}. "
            f"Mean ± standard deviation over {len(results['seeds'])} networks (seeds "
            f"{', '.join(map(str, results['seeds']))}) of the mean of {choices['draws']} draws. "
            f"CoreNet reads {choices['num_points']} training images, the others none.",
            f"Realised nonzeros were within {_deviation(results):.1f} % of {PARAMETERS:,} of the "
            "size in every run.",
            f"Data: {results['data']}. coreprune {results['coreprune']}, torch {results['torch']}, "
            f"one thread; {results['seconds']:.0f} s of processor time in all.",
            "",
            *_reading(results),
        ]
    )


def _deviation(results: dict[str, Any]) -> float:
    """The largest distance of a run's nonzeros from its nominal size, in percent of the whole."""
    return max(
        100 * abs(entry["nonzeros"] - entry["size"]) / PARAMETERS for entry in results["runs"]
    )


def _reading(results: dict[str, Any]) -> list[str]:
    """At which sizes edges or neurons have the lower mean error, in computed sentences."""
    lines = []
    for size in _sizes(results):
        means = {
            name: statistics.mean(_network_means(results, name, size))
            for name in (*SAMPLERS, EDGES)
        }
        best = min(SAMPLERS, key=means.__getitem__)
        winner = EDGES if means[EDGES] < means[best] else best
        lines.append(
            f"- {100 * size / PARAMETERS:.1f} % kept: {winner} has the lowest error; CoreNet "
            f"{means[EDGES]:.1f} %, the best neuron method ({best}) {means[best]:.1f} %."
        )
    return lines


def draw(results: dict[str, Any], path: Path) -> None:
    """Test error against the share of nonzeros kept."""
    drawing, axes = figure.one_panel()
    sizes = _sizes(results)
    for method in (*SAMPLERS, EDGES):
        errors = [_network_means(results, method, size) for size in sizes]
        axes.errorbar(
            [100 * size / PARAMETERS for size in sizes],
            [statistics.mean(values) for values in errors],
            yerr=[spread(values) for values in errors],
            marker=figure.MARKERS[method],
            color=figure.COLOURS[method],
            capsize=3,
            label="CoreNet (edges, with data)" if method == EDGES else method,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    shares = [100 * size / PARAMETERS for size in sizes]
    axes.set_xticks(shares, [f"{share:.0f}" for share in shares])
    axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("nonzero parameters kept, %")
    axes.set_ylabel("test error without fine-tuning, %")
    axes.legend()
    figure.save(drawing, path)
