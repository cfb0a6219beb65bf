"""Error of LeNet-300-100 before pruning, after it, and after fine-tuning."""

import copy
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.core.coreset import SAMPLERS
from experiments import figure, mnist
from experiments.cut import cut
from experiments.lenet import PARAMETERS, Recipe, error, fit, lenet, num_parameters, trained
from experiments.mnist import Digits
from experiments.paper_table.choose import Candidates, Choice, choose
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import interval, mean_spread, verdict

CLAIMED = {"error_before": 2.16, "error_tuned": 2.03, "removed": 90.0}
SEEDS = (0, 1, 2, 3, 4)
FULL = Candidates(
    widths=((27, 40), (25, 80)),
    rates=(0.05, 0.1, 0.2, 0.4),
    held_out=10_000,
    recipe=Recipe(),
)
QUICK = Candidates(
    widths=((27, 40),), rates=(0.05,), held_out=1_000, recipe=Recipe(epochs=3, peak_rate=0.1)
)
CONTROL, SCRATCH = "not pruned, trained on", "small from the start"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """A network about to be trained to its end.

    Attributes:
        seed: Of everything random.
        method: What made it small, or a control.
        before: The trained network it comes from; None when it was small from the start.
        network: Where the training starts.
        recipe: Of that training.
        seconds_pruning: Processor time of the cut.
    """

    seed: int
    method: str
    before: nn.Sequential | None
    network: nn.Sequential
    recipe: Recipe
    seconds_pruning: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finish:
    """The trained end of a start.

    Attributes:
        start: Where it came from.
        tuned: The network at the end.
        seconds_tuning: Processor time of the training.
    """

    start: Start
    tuned: nn.Sequential
    seconds_tuning: float


def run(*, quick: bool) -> dict[str, Any]:
    """Train, prune and fine-tune for every seed and method; then read the test set, once.

    Args:
        quick: One seed, small data, few epochs.

    Returns:
        The runs with their errors in percent, and the choices.
    """
    started = time.process_time()
    candidates, seeds = (QUICK, SEEDS[:1]) if quick else (FULL, SEEDS)
    digits = mnist.load(quick=quick)
    choice = choose(digits, candidates)
    originals = [
        trained(digits, seed=seed, recipe=candidates.recipe) for seed in progress(seeds, "training")
    ]
    starts = [
        start
        for seed, original in zip(seeds, originals, strict=True)
        for start in _starts(original.model, candidates.recipe, choice, seed=seed)
    ]
    finishes = [_finish(start, digits) for start in progress(starts, "fine-tuning")]
    return {
        "claimed": CLAIMED,
        "choices": {
            "recipe": asdict(candidates.recipe),
            "held_out": candidates.held_out,
            **asdict(choice),
        },
        "seconds_training": [round(original.seconds, 1) for original in originals],
        "runs": [_measured(finish, digits) for finish in finishes],
        **provenance(seeds=seeds, started=started, data=digits.source),
    }


def _starts(
    original: nn.Sequential, recipe: Recipe, choice: Choice, *, seed: int
) -> Iterator[Start]:
    """Every method and both controls of one seed."""
    tuning = replace(recipe, peak_rate=choice.rate)
    for method in SAMPLERS:
        began = time.process_time()
        pruned = cut(original, choice.widths, method=method, seed=seed)
        yield Start(
            seed=seed,
            method=method,
            before=original,
            network=pruned,
            recipe=tuning,
            seconds_pruning=time.process_time() - began,
        )
    tuning = replace(recipe, peak_rate=choice.control_rate)
    yield Start(seed=seed, method=CONTROL, before=original, network=original, recipe=tuning)
    small = lenet(hidden=choice.widths, seed=seed)
    longer = replace(recipe, epochs=2 * recipe.epochs, peak_rate=choice.scratch_rate)
    yield Start(seed=seed, method=SCRATCH, before=None, network=small, recipe=longer)


def _finish(start: Start, digits: Digits) -> Finish:
    began = time.process_time()
    tuned = fit(
        copy.deepcopy(start.network),
        digits.train_images,
        digits.train_labels,
        recipe=start.recipe,
        seed=start.seed,
    )
    return Finish(start=start, tuned=tuned, seconds_tuning=time.process_time() - began)


def _measured(finish: Finish, digits: Digits) -> dict[str, Any]:
    """The test errors of one network, the only place that reads the test set."""
    start, tuned = finish.start, finish.tuned

    def test_error(model: nn.Module) -> float:
        return round(error(model, digits.test_images, digits.test_labels), 3)

    pruned = start.method in SAMPLERS
    return {
        "seed": start.seed,
        "method": start.method,
        "widths": [tuned.fc1.out_features, tuned.fc2.out_features],
        "removed": round(100 * (1 - num_parameters(tuned) / PARAMETERS), 2),
        "error_before": None if start.before is None else test_error(start.before),
        "error_pruned": test_error(start.network) if pruned else None,
        "error_tuned": test_error(tuned),
        "seconds_pruning": round(start.seconds_pruning, 3),
        "seconds_tuning": round(finish.seconds_tuning, 1),
    }


def table(results: dict[str, Any]) -> str:
    """The table of all methods and controls, and what follows from it."""
    claimed, choices = results["claimed"], results["choices"]
    rows = [
        "| | removed, % | error before | after pruning | after fine-tuning | seconds |",
        "|---|---|---|---|---|---|",
        f"| claimed (as remembered) | {claimed['removed']:.0f} | {claimed['error_before']:.2f} "
        f"| | {claimed['error_tuned']:.2f} | |",
        *(_row(name, _of(results, name)) for name in (*SAMPLERS, CONTROL, SCRATCH)),
    ]
    first, second = choices["widths"]
    epochs = choices["recipe"]["epochs"]
    return "\n".join(
        [
            *rows,
            "",
            f"Errors in percent of the test images, mean ± standard deviation over seeds "
            f"{', '.join(map(str, results['seeds']))}; processor "
            "seconds of pruning + fine-tuning.",
            f"Widths {first} and {second} of 300 and 100; {epochs} epochs of training and {epochs} "
            f"of fine-tuning with peak rate {choices['rate']} ({choices['control_rate']} for the "
            f"unpruned control, {choices['scratch_rate']} for the small network), chosen on "
            "held-out training images.",
            f"Data: {results['data']}. coreprune {results['coreprune']}, torch {results['torch']}, "
            f"one thread; {results['seconds']:.0f} s of processor time. The networks took "
            f"{sum(results['seconds_training']):.0f} s and may come from an earlier run's cache.",
            "",
            *_reading(results),
        ]
    )


def _of(results: dict[str, Any], method: str) -> list[dict[str, Any]]:
    return [entry for entry in results["runs"] if entry["method"] == method]


def _row(name: str, entries: list[dict[str, Any]]) -> str:
    def cell(key: str, digits: int = 2) -> str:
        values = [entry[key] for entry in entries if entry[key] is not None]
        return mean_spread(values, digits) if values else ""

    least = min(entry["removed"] for entry in entries)
    removed = f"{cell('removed', 1)} (least {least:.1f})" if name != CONTROL else "0"
    seconds = statistics.mean(
        entry["seconds_pruning"] + entry["seconds_tuning"] for entry in entries
    )
    return (
        f"| {name} | {removed} | {cell('error_before')} | {cell('error_pruned')} "
        f"| {cell('error_tuned')} | {seconds:.0f} |"
    )


def _reading(results: dict[str, Any]) -> list[str]:
    """Whether pruning improved generalisation, computed: paired over the seeds."""
    before = [entry["error_before"] for entry in _of(results, CONTROL)]
    tuned = {
        name: [entry["error_tuned"] for entry in _of(results, name)]
        for name in (*SAMPLERS, CONTROL, SCRATCH)
    }
    rows = [
        "| fine-tuned | against the network before | against the unpruned trained on "
        "| against small from the start |",
        "|---|---|---|---|",
    ]
    for name in (*SAMPLERS, CONTROL):
        others = [before] if name == CONTROL else [before, tuned[CONTROL], tuned[SCRATCH]]
        cells = [_compared(tuned[name], errors) for errors in others] + ["", ""]
        rows.append(f"| {name} | {' | '.join(cells[:3])} |")
    return [*rows, "", _conclusion(before, tuned)]


def _compared(errors: list[float], others: list[float]) -> str:
    return verdict(
        [mine - other for mine, other in zip(errors, others, strict=True)],
        lower="error lower",
        higher="error higher",
        neither="not told apart",
    )


def _conclusion(before: list[float], tuned: dict[str, list[float]]) -> str:
    """One sentence on the claim that pruning improves the accuracy."""
    better = [
        method
        for method in SAMPLERS
        if all(
            interval([mine - other for mine, other in zip(tuned[method], errors, strict=True)])[1]
            < 0
            for errors in (before, tuned[CONTROL])
        )
    ]
    if better:
        return f"**Pruning improved generalisation here** with {' and '.join(better)}."
    return (
        "**Pruning did not improve generalisation here**: with no method is the error, beyond the "
        "spread, below both the network before and the unpruned network trained as long."
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Every run's test error after fine-tuning, and the claimed one."""
    drawing, axes = figure.one_panel()
    names = (*SAMPLERS, CONTROL, SCRATCH)
    for place, name in enumerate(names):
        tuned = [entry["error_tuned"] for entry in _of(results, name)]
        axes.plot([place] * len(tuned), tuned, "o", color=figure.COLOURS.get(name, "#555555"))
        axes.plot([place - 0.2, place + 0.2], [statistics.mean(tuned)] * 2, "k-")
    before = statistics.mean(entry["error_before"] for entry in _of(results, CONTROL))
    axes.axhline(before, color="k", linestyle=":", label="measured before pruning")
    axes.axhline(
        results["claimed"]["error_tuned"], color="k", linestyle="--", label="claimed after pruning"
    )
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=8)
    axes.set_ylabel("test error, %")
    axes.legend()
    figure.save(drawing, path)
