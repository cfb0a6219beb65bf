"""Whether pruned networks take eight bits as well as whole ones, judged without the test images."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import coreprune
from experiments import figure, mnist
from experiments.ablation.run import GREY, split
from experiments.lenet import Recipe, error, trained
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.quantised.int8 import QUANTISED, Classify
from experiments.spread import mean_spread

FLOAT = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks, none of those that are reported elsewhere.
        widths: Neurons in fc1 and fc2; the first are those of the whole network.
        recipe: How the networks are trained.
        held_out: How many of the last training images judge; no network has seen them.
    """

    seeds: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    recipe: Recipe
    held_out: int


WHOLE = (300, 100)
FULL = Plan(
    seeds=(1000, 1001, 1002),
    widths=(WHOLE, (150, 50), (90, 30), (60, 40), (32, 35)),
    recipe=Recipe(),
    held_out=10_000,
)
QUICK = Plan(
    seeds=(1000,),
    widths=(WHOLE, (60, 40)),
    recipe=Recipe(epochs=3, peak_rate=0.1),
    held_out=1000,
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune networks, round them to eight bits, and read the error on held-out training images.

    Args:
        quick: One seed, small data, one size.

    Returns:
        The runs with their errors in percent and the ranges of their weights.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    learnt, judge = split(digits, plan.held_out)
    runs = []
    for seed in progress(plan.seeds, "networks"):
        model = trained(learnt, seed=seed, recipe=plan.recipe).model
        for widths in plan.widths:
            small, gains = _cut(model, widths)
            runs.append({
                "seed": seed,
                "widths": list(widths),
                "ranges": [_range(layer.weight) for layer in (small.fc2, small.fc3)],
                "gains": gains,
                "errors": _errors(small, judge),
            })  # fmt: skip
    return {
        "choices": {**asdict(plan), "contenders": [FLOAT, *QUANTISED]},
        "runs": runs,
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _cut(model: nn.Sequential, widths: tuple[int, int]) -> tuple[Any, list[float]]:
    """The pruned network, and how much the columns of fc2 and fc3 have grown at most."""
    if widths == WHOLE:
        return model, [1.0, 1.0]
    keep = {"fc1": widths[0] / WHOLE[0], "fc2": widths[1] / WHOLE[1]}
    result = coreprune.prune(model, torch.full((1, 784), GREY), keep=keep)
    kept = [torch.tensor(group.kept) for group in result.groups]
    before = [model.fc2.weight[kept[1]][:, kept[0]], model.fc3.weight[:, kept[1]]]
    after = [result.model.fc2.weight, result.model.fc3.weight]
    return result.model, [
        round(float((new.detach().norm(dim=0) / old.detach().norm(dim=0)).max()), 3)
        for new, old in zip(after, before, strict=True)
    ]


def _range(weight: Tensor) -> float:
    """The largest entry over the root mean square: what one scale for all of them has to span."""
    entries = weight.detach()
    return round(float(entries.abs().max() / entries.square().mean().sqrt()), 3)


def _errors(model: nn.Module, judge: tuple[Tensor, Tensor]) -> dict[str, float]:
    errors = {FLOAT: round(error(model, *judge), 3)}
    for name, quantised in QUANTISED.items():
        errors[name] = round(_error(quantised(model), *judge), 3)
    return errors


def _error(classify: Classify, images: Tensor, labels: Tensor) -> float:
    return 100 * float((classify(images).argmax(1) != labels).double().mean())


def _of(results: dict[str, Any], widths: Sequence[int]) -> list[dict[str, Any]]:
    return [entry for entry in results["runs"] if entry["widths"] == list(widths)]


def _lost(entries: list[dict[str, Any]], name: str) -> list[float]:
    return [entry["errors"][name] - entry["errors"][FLOAT] for entry in entries]


def table(results: dict[str, Any]) -> str:
    """What rounding costs at every size, and what it has to span."""
    others = [name for name in results["choices"]["contenders"] if name != FLOAT]
    lines = [
        f"| widths | {FLOAT} | {' | '.join(others)} | range of fc2 | of fc3 "
        "| gain of fc2 | of fc3 |",
        "|---|---|" + "---|" * (len(others) + 4),
    ]
    for widths in results["choices"]["widths"]:
        entries = _of(results, widths)
        cells = [mean_spread([entry["errors"][FLOAT] for entry in entries])]
        cells += [f"{statistics.mean(_lost(entries, name)):+.2f}" for name in others]
        for what in ("ranges", "gains"):
            cells += [
                f"{statistics.mean(entry[what][layer] for entry in entries):.1f}"
                for layer in (0, 1)
            ]
        lines.append(f"| {widths[0]}, {widths[1]} | " + " | ".join(cells) + " |")
    return "\n".join([
        *lines,
        "",
        f"Error in percent on the last {results['choices']['held_out']:,} training images, which "
        "no network has seen, and by how much it is higher in eight bits. Range: the largest "
        "weight over the root mean square; gain: the largest growth of a kept neuron's outgoing "
        f"weights. Means over the seeds {', '.join(map(str, results['seeds']))}.",
        f"Data: {results['data']}; the test images are not read. coreprune {results['coreprune']}, "
        f"torch {results['torch']}, one thread; {results['seconds']:.0f} s of processor time.",
    ])  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """What rounding costs by size."""
    drawing, axes = figure.one_panel()
    sizes = results["choices"]["widths"]
    labels = [f"{first}, {second}" for first, second in sizes]
    for name, marker in zip(results["choices"]["contenders"][1:], "osv", strict=False):
        lost = [statistics.mean(_lost(_of(results, widths), name)) for widths in sizes]
        axes.plot(labels, lost, marker=marker, label=name)
    axes.set_xlabel("widths of fc1 and fc2")
    axes.set_ylabel("error in eight bits minus error in float32, %")
    axes.legend()
    figure.save(drawing, path)
