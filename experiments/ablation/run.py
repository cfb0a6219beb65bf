"""The parts of the default method one by one, judged without the test images."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import coreprune
from coreprune.core.coreset import Method
from experiments import figure, mnist
from experiments.lenet import Recipe, error, trained
from experiments.mnist import Digits
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import mean_spread

GREY = 1 / 3
"""One grey image of the data's brightness is the example: its size and sign are all it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks, none of those that are reported elsewhere.
        widths: Neurons kept in fc1 and fc2.
        recipes: How the networks are trained, by a name for people.
        held_out: How many of the last training images judge; no network has seen them.
    """

    seeds: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    recipes: dict[str, Recipe]
    held_out: int


WIDTHS = ((150, 50), (90, 30), (60, 40), (32, 35))
FULL = Plan(
    seeds=(1000, 1001, 1002),
    widths=WIDTHS,
    recipes={"weight decay": Recipe(), "no weight decay": Recipe(weight_decay=0.0)},
    held_out=10_000,
)
QUICK = Plan(
    seeds=(1000,),
    widths=WIDTHS[2:3],
    recipes={"weight decay": Recipe(epochs=3, peak_rate=0.1)},
    held_out=1000,
)

SHAPED = coreprune.Impressions(deviation=GREY, steps=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to prune.

    Attributes:
        method: As `coreprune.prune` takes it.
        queries: Makes the law from training images, of which all but the last variant use none.
    """

    method: Method
    queries: Callable[[Tensor], Any]


VARIANTS: dict[str, Variant] = {
    "forward, N(0, I), closed form": Variant(
        method="forward", queries=lambda _: coreprune.Gaussian()
    ),
    "backward, N(0, I), closed form": Variant(
        method="backward", queries=lambda _: coreprune.Gaussian()
    ),
    "with swaps": Variant(method="optimal", queries=lambda _: coreprune.Gaussian()),
    "with swaps, normal of the example's size": Variant(
        method="optimal", queries=lambda _: coreprune.Gaussian(GREY)
    ),
    "sampled, every size, later layers fitted to the original": Variant(
        method="optimal", queries=lambda _: replace(SHAPED, isotropic=1.0)
    ),
    "shaped by the first layer": Variant(method="optimal", queries=lambda _: SHAPED),
    "every other query not negative": Variant(
        method="optimal", queries=lambda _: replace(SHAPED, nonnegative=True)
    ),
    "moved towards confident outputs (the default)": Variant(
        method="optimal", queries=lambda _: None
    ),
    "the default law without swaps": Variant(method="backward", queries=lambda _: None),
    "the default law, forward": Variant(method="forward", queries=lambda _: None),
    "10,000 training images instead of a law": Variant(
        method="optimal", queries=lambda images: coreprune.Samples(images[:10_000])
    ),
}


def run(*, quick: bool) -> dict[str, Any]:
    """Prune networks by every variant and read the error on held-out training images.

    Args:
        quick: One seed, small data, one size.

    Returns:
        The runs with their errors in percent.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    learnt, judge = split(digits, plan.held_out)
    cases = [(name, seed) for name in plan.recipes for seed in plan.seeds]
    runs = []
    for recipe, seed in progress(cases, "networks"):
        model = trained(learnt, seed=seed, recipe=plan.recipes[recipe]).model
        runs.append(_row("not pruned", recipe, seed, model=model, widths=(300, 100), judge=judge))
        for name, variant in VARIANTS.items():
            for widths in plan.widths:
                small = _cut(model, widths, variant, images=learnt.train_images)
                runs.append(_row(name, recipe, seed, model=small, widths=widths, judge=judge))
    return {
        "choices": {**asdict(plan), "variants": list(VARIANTS)},
        "runs": runs,
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def split(digits: Digits, held_out: int) -> tuple[Digits, tuple[Tensor, Tensor]]:
    """The training images without the last ones, and those; the test images are dropped.

    Args:
        digits: All of them.
        held_out: How many of the training images judge.

    Returns:
        What networks learn from, and the images and classes held out.
    """
    nothing = digits.test_images[:0], digits.test_labels[:0]
    learnt = Digits(
        train_images=digits.train_images[:-held_out],
        train_labels=digits.train_labels[:-held_out],
        test_images=nothing[0],
        test_labels=nothing[1],
        source=digits.source,
    )
    return learnt, (digits.train_images[-held_out:], digits.train_labels[-held_out:])


def _cut(
    model: nn.Sequential, widths: tuple[int, int], variant: Variant, *, images: Tensor
) -> nn.Module:
    keep = {"fc1": widths[0] / 300, "fc2": widths[1] / 100}
    return coreprune.prune(
        model,
        torch.full((1, 784), GREY),
        keep=keep,
        method=variant.method,
        queries=variant.queries(images),
    ).model


def _row(
    variant: str,
    recipe: str,
    seed: int,
    *,
    model: nn.Module,
    widths: tuple[int, int],
    judge: tuple[Tensor, Tensor],
) -> dict[str, Any]:
    return {
        "variant": variant,
        "recipe": recipe,
        "seed": seed,
        "widths": list(widths),
        "error": round(error(model, *judge), 3),
    }


def _errors(results: dict[str, Any], variant: str, recipe: str, *, widths: object) -> list[float]:
    return [
        entry["error"]
        for entry in results["runs"]
        if (entry["variant"], entry["recipe"], entry["widths"]) == (variant, recipe, widths)
    ]


def table(results: dict[str, Any]) -> str:
    """Errors on held-out training images by variant and size, one table for each recipe."""
    sizes = [list(widths) for widths in results["choices"]["widths"]]
    lines = []
    for recipe in results["choices"]["recipes"]:
        whole = mean_spread(_errors(results, "not pruned", recipe, widths=[300, 100]))
        lines += [
            f"Trained with {recipe}; not pruned: {whole}.",
            "",
            "| variant | " + " | ".join(f"{first}, {second}" for first, second in sizes) + " |",
            "|---|" + "---|" * len(sizes),
        ]
        for variant in results["choices"]["variants"]:
            cells = [mean_spread(_errors(results, variant, recipe, widths=size)) for size in sizes]
            lines.append(f"| {variant} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([
        *lines,
        f"Error in percent on the last {results['choices']['held_out']:,} training images, "
        "which no network has seen; columns are the neurons kept in fc1 and fc2. "
        f"Mean ± standard deviation over the seeds {', '.join(map(str, results['seeds']))}.",
        f"Data: {results['data']}; the test images are not read. coreprune {results['coreprune']}, "
        f"torch {results['torch']}, one thread; {results['seconds']:.0f} s of processor time.",
    ])  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """The error of every variant at the smallest size."""
    drawing, axes = figure.one_panel()
    variants = results["choices"]["variants"]
    size = list(results["choices"]["widths"][-1])
    for recipe, marker in zip(results["choices"]["recipes"], "os", strict=False):
        means = [statistics.mean(_errors(results, v, recipe, widths=size)) for v in variants]
        axes.plot(means, range(len(variants)), marker=marker, linestyle="none", label=recipe)
    axes.set_yticks(range(len(variants)), variants)
    axes.invert_yaxis()
    axes.set_xlabel(f"error on held-out images at widths {size[0]}, {size[1]}, %")
    axes.legend()
    figure.save(drawing, path)
