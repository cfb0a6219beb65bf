"""LeNet-300-100 with a tenth of its parameters: repaired without data, fine-tuned with data."""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import coreprune
from coreprune.budget import Budget, Keep
from coreprune.finetune import Finetuning, finetune
from coreprune.repair import Repair
from experiments import figure, mnist
from experiments.lenet import PARAMETERS, Recipe, error, lenet, num_parameters, trained
from experiments.mnist import Digits
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.repaired.moved import Moved
from experiments.spread import mean_spread, verdict

WHOLE, PRUNED, REPAIRED = "not pruned", "pruned", "repaired without data"
TUNED, SCRATCH = "fine-tuned with data", "small from the start"
STAGES = (WHOLE, PRUNED, REPAIRED, TUNED, SCRATCH)
BUDGET = Budget(parameters=0.1)
GREY = 1 / 3  # of an image with about the root mean square of the training images


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the networks, queries and orders.
        tuned_widths: Neurons kept in fc1 and fc2 of the networks to fine-tune.
        recipe: Of the trained networks.
        repair_steps: Steps of repair.
        repair_rate: Their peak rate.
        epochs: Of fine-tuning.
        tuning_rate: Its peak rate.
        label_share: What the labels count for beside the original; 1 leaves the original out.
        batch_size: Images in a step.
    """

    seeds: tuple[int, ...]
    tuned_widths: tuple[int, int] = (29, 95)
    recipe: Recipe
    repair_steps: int
    repair_rate: float = 5e-3
    epochs: int
    tuning_rate: float = 3e-3
    label_share: float = 1.0
    batch_size: int = 256


FULL = Plan(seeds=(0, 1, 2, 3, 4), recipe=Recipe(), repair_steps=5000, epochs=100)
QUICK = Plan(seeds=(0,), recipe=Recipe(epochs=3, peak_rate=0.1), repair_steps=200, epochs=3)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune, repair and fine-tune the network of every seed; then read the test set, once.

    Args:
        quick: One seed, small data, few steps.

    Returns:
        The runs with their errors in percent.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    stages = [
        (seed, *stage)
        for seed in progress(plan.seeds, "networks")
        for stage in _stages(digits, plan, seed=seed)
    ]
    return {
        "choices": asdict(plan),
        "runs": [
            {
                "seed": seed,
                "stage": name,
                "removed": round(100 * (1 - num_parameters(network) / PARAMETERS), 2),
                "error": round(error(network, digits.test_images, digits.test_labels), 3),
                "seconds": round(seconds, 2),
            }
            for seed, name, network, seconds in stages
        ],
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _stages(digits: Digits, plan: Plan, *, seed: int) -> list[tuple[str, nn.Module, float]]:
    """Every network of one seed with the processor time of its last stage."""
    original = trained(digits, seed=seed, recipe=plan.recipe)
    clock = time.process_time()
    pruned = _pruned(original.model, BUDGET, seed=seed).model
    spent = [time.process_time() - clock]
    clock = time.process_time()
    settings = Repair(steps=plan.repair_steps, learning_rate=plan.repair_rate)
    repaired = _pruned(original.model, BUDGET, seed=seed, repair=settings).model
    spent.append(time.process_time() - clock - spent[0])
    first, second = plan.tuned_widths
    keep = {"fc1": first / 300, "fc2": second / 100}
    start = _pruned(original.model, keep, seed=seed).model
    tuned, seconds = _tuned(start, digits, plan, original=original.model, seed=seed)
    fresh = lenet(hidden=plan.tuned_widths, seed=seed)
    small, also = _tuned(fresh, digits, plan, original=original.model, seed=seed)
    return [
        (WHOLE, original.model, original.seconds),
        (PRUNED, pruned, spent[0]),
        (REPAIRED, repaired, spent[1]),
        (TUNED, tuned, seconds),
        (SCRATCH, small, also),
    ]


def _pruned(
    model: nn.Sequential, keep: Keep, *, seed: int, repair: Repair | None = None
) -> coreprune.PruneResult:
    """The library's defaults, with a grey image of about the data's norm as the example."""
    grey = torch.full((1, 784), GREY)
    return coreprune.prune(model, grey, keep=keep, seed=seed, repair=repair)


def _tuned(
    network: nn.Module, digits: Digits, plan: Plan, *, original: nn.Module, seed: int
) -> tuple[nn.Module, float]:
    """The network fine-tuned, and the processor time of it."""
    clock = time.process_time()
    loader = Moved(digits.train_images, digits.train_labels, batch_size=plan.batch_size, seed=seed)
    settings = Finetuning(
        steps=plan.epochs * len(loader),
        learning_rate=plan.tuning_rate,
        label_share=plan.label_share,
        check_every=len(loader),
    )
    teacher = original if plan.label_share < 1 else None
    result = finetune(network, loader, teacher=teacher, settings=settings)
    return result.model, time.process_time() - clock


def _values(results: dict[str, Any], stage: str, *, key: str = "error") -> list[float]:
    return [entry[key] for entry in results["runs"] if entry["stage"] == stage]


def table(results: dict[str, Any]) -> str:
    """Test errors by stage, and whether fine-tuning reaches the network before."""
    choices = results["choices"]
    lines = ["| | removed, % | test error, % | seconds |", "|---|---|---|---|"]
    for stage in STAGES:
        removed = min(_values(results, stage, key="removed"))
        seconds = statistics.mean(_values(results, stage, key="seconds"))
        errors = mean_spread(_values(results, stage))
        lines.append(f"| {stage} | {removed:.1f} | {errors} | {seconds:.1f} |")
    tuned = " and ".join(map(str, choices["tuned_widths"]))
    return "\n".join(
        [
            *lines,
            "",
            f"Mean ± standard deviation over seeds {', '.join(map(str, results['seeds']))}; "
            "processor seconds of the stage. Pruned and repaired: widths by the budget of a tenth "
            f"of the parameters; {choices['repair_steps']:,} steps of repair. Fine-tuned: "
            f"widths {tuned}, {choices['epochs']} epochs on images turned, scaled, slanted and "
            "moved a little.",
            f"Data: {results['data']}. coreprune {results['coreprune']}, torch {results['torch']}, "
            f"one thread; {results['seconds']:.0f} s of processor time in all.",
            "",
            f"Fine-tuned, against the network before: {_compared(results, WHOLE)}.",
            f"Against the small network from the start: {_compared(results, SCRATCH)}.",
        ]
    )


def _compared(results: dict[str, Any], stage: str) -> str:
    pairs = zip(_values(results, TUNED), _values(results, stage), strict=True)
    return verdict(
        [mine - other for mine, other in pairs],
        lower="error lower",
        higher="error higher",
        neither="not told apart",
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """The test error of every run by stage."""
    drawing, axes = figure.one_panel()
    for place, stage in enumerate(STAGES):
        errors = _values(results, stage)
        axes.scatter([place] * len(errors), errors, color=figure.COLOURS["optimal"])
        axes.hlines(statistics.mean(errors), place - 0.2, place + 0.2, color="k")
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.set_xticks(range(len(STAGES)), [stage.replace(" with", "\nwith") for stage in STAGES])
    axes.set_ylabel("test error, %")
    figure.save(drawing, path)
