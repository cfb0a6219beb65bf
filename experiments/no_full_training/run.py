"""Coresets taken before, early in and after the training, every network trained equally long."""

import copy
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.core.coreset import SAMPLERS
from experiments import figure, mnist
from experiments.cut import cut
from experiments.lenet import PARAMETERS, Recipe, error, fit, lenet, num_parameters
from experiments.mnist import Digits
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import mean_spread, spread, verdict

SCRATCH, WHOLE = "small from the start", "not pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of weights, order of images and draws.
        cuts: After how many epochs the coreset is taken.
        widths: Neurons kept in fc1 and fc2: chosen without data so that at least
            90 % of the parameters go.
        recipe: Its epochs are the total, before and after the cut together.
    """

    seeds: tuple[int, ...]
    cuts: tuple[int, ...]
    widths: tuple[int, int]
    recipe: Recipe


FULL = Plan(seeds=(0, 1, 2, 3, 4), cuts=(0, 1, 5), widths=(27, 40), recipe=Recipe())
QUICK = Plan(seeds=(0,), cuts=(0, 1, 2), widths=(27, 40), recipe=Recipe(epochs=4, peak_rate=0.1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finish:
    """A network after all its epochs.

    Attributes:
        seed: Of everything random.
        method: How it became small.
        epochs_before: Epochs before the cut.
        network: The trained network.
        seconds: Processor time of its epochs, those before the cut included.
    """

    seed: int
    method: str
    epochs_before: int
    network: nn.Sequential
    seconds: float


def run(*, quick: bool) -> dict[str, Any]:
    """Train, cut and train on for every seed, time and method; then read the test set, once.

    Args:
        quick: One seed, small data, few epochs.

    Returns:
        The runs with their errors in percent.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    jobs = [(seed, epochs) for seed in plan.seeds for epochs in plan.cuts]
    finishes = [
        finish
        for seed, epochs in progress(jobs, "early coresets")
        for finish in _cut_after(epochs, digits, plan, seed=seed)
    ]
    for seed in progress(plan.seeds, "controls"):
        for method, widths in ((SCRATCH, plan.widths), (WHOLE, (300, 100))):
            network = lenet(hidden=widths, seed=seed)
            finishes.append(_trained(network, digits, plan.recipe, method=method, seed=seed))
    return {
        "choices": asdict(plan),
        "runs": [_measured(finish, digits) for finish in finishes],
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _cut_after(epochs: int, digits: Digits, plan: Plan, *, seed: int) -> list[Finish]:
    """Every method's network, cut after a number of epochs that they share."""
    network = lenet(seed=seed)
    warm = _trained(network, digits, replace(plan.recipe, epochs=epochs), method=WHOLE, seed=seed)
    rest = replace(plan.recipe, epochs=plan.recipe.epochs - epochs)
    finishes = []
    for method in SAMPLERS:
        small = cut(warm.network, plan.widths, method=method, seed=seed)
        late = _trained(small, digits, rest, method=method, seed=seed)
        finishes.append(replace(late, epochs_before=epochs, seconds=warm.seconds + late.seconds))
    return finishes


def _trained(
    network: nn.Sequential, digits: Digits, recipe: Recipe, *, method: str, seed: int
) -> Finish:
    started = time.process_time()
    if recipe.epochs:
        data = digits.train_images, digits.train_labels
        network = fit(copy.deepcopy(network), *data, recipe=recipe, seed=seed)
    return Finish(
        seed=seed,
        method=method,
        epochs_before=0,
        network=network,
        seconds=time.process_time() - started,
    )


def _measured(finish: Finish, digits: Digits) -> dict[str, Any]:
    """The test error of one network, the only place that reads the test set."""
    return {
        "seed": finish.seed,
        "method": finish.method,
        "epochs_before": finish.epochs_before,
        "removed": round(100 * (1 - num_parameters(finish.network) / PARAMETERS), 2),
        "error": round(error(finish.network, digits.test_images, digits.test_labels), 3),
        "seconds": round(finish.seconds, 1),
    }


def _values(
    results: dict[str, Any], method: str, epochs_before: int = 0, *, key: str = "error"
) -> list[float]:
    """One figure of a method's runs, by seed."""
    return [
        entry[key]
        for entry in results["runs"]
        if (entry["method"], entry["epochs_before"]) == (method, epochs_before)
    ]


def table(results: dict[str, Any]) -> str:
    """Errors by method and time of the cut, and what follows from them."""
    choices = results["choices"]
    cuts, total = choices["cuts"], choices["recipe"]["epochs"]
    first, second = choices["widths"]
    pruned = [entry["removed"] for entry in results["runs"] if entry["method"] in SAMPLERS]
    lines = [
        "| cut after | " + " | ".join(map(_epochs, cuts)) + " |",
        "|---|" + "---|" * len(cuts),
    ]
    for method in SAMPLERS:
        cells = [mean_spread(_values(results, method, epochs)) for epochs in cuts]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    for control in (SCRATCH, WHOLE):
        rest = " |" * (len(cuts) - 1)
        lines.append(f"| {control} | {mean_spread(_values(results, control))} |{rest}")
    return "\n".join(
        [
            *lines,
            "",
            f"Test error in percent after {total} epochs in all, mean ± standard deviation over "
            f"seeds {', '.join(map(str, results['seeds']))}. Widths {first} and {second}: "
            f"{min(pruned):.1f} % or more of the parameters removed in every run.",
            f"Data: {results['data']}. coreprune {results['coreprune']}, torch {results['torch']}, "
            f"one thread; {results['seconds']:.0f} s of processor time in all.",
            "",
            *_reading(results),
        ]
    )


def _reading(results: dict[str, Any]) -> list[str]:
    """Whether an early coreset beats uniform choice and the small network, computed."""
    lines = [
        "| cut after | method | against uniform | against small from the start | seconds |",
        "|---|---|---|---|---|",
    ]
    for epochs in results["choices"]["cuts"]:
        for method in SAMPLERS:
            errors = _values(results, method, epochs)
            uniform = _values(results, "uniform", epochs)
            against_uniform = "" if method == "uniform" else _compared(errors, uniform)
            seconds = statistics.mean(_values(results, method, epochs, key="seconds"))
            lines.append(
                f"| {_epochs(epochs)} | {method} | {against_uniform} "
                f"| {_compared(errors, _values(results, SCRATCH))} | {seconds:.0f} |"
            )
    small, whole = (
        statistics.mean(_values(results, control, key="seconds")) for control in (SCRATCH, WHOLE)
    )
    comparisons = len(results["choices"]["cuts"]) * (2 * len(SAMPLERS) - 1)
    return [
        *lines,
        "",
        "Differences of the errors, paired over the seeds; processor seconds of all epochs, those "
        f"before the cut included ({SCRATCH}: {small:.0f}, {WHOLE}: {whole:.0f}). Of "
        f"{comparisons} intervals of 95 % one in twenty misses by chance.",
    ]


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _compared(errors: list[float], others: list[float]) -> str:
    return verdict(
        [mine - other for mine, other in zip(errors, others, strict=True)],
        lower="better",
        higher="worse",
        neither="not told apart",
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Test error against the epoch of the cut."""
    drawing, axes = figure.one_panel()
    cuts = results["choices"]["cuts"]
    for shift, method in enumerate(SAMPLERS):
        errors = [_values(results, method, epochs) for epochs in cuts]
        axes.errorbar(
            [place + 0.06 * shift for place in range(len(cuts))],
            [statistics.mean(values) for values in errors],
            yerr=[spread(values) for values in errors],
            marker=figure.MARKERS[method],
            color=figure.COLOURS[method],
            capsize=3,
            label=method,
        )
    for control, style in ((SCRATCH, "--"), (WHOLE, ":")):
        mean = statistics.mean(_values(results, control))
        axes.axhline(mean, color="k", linestyle=style, label=control)
    axes.set_xticks(range(len(cuts)), [str(epochs) for epochs in cuts])
    axes.set_xlabel("epochs before the cut")
    axes.set_ylabel("test error after all epochs, %")
    axes.legend(fontsize=8)
    figure.save(drawing, path)
