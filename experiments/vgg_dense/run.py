"""VGG-16 without three quarters of its dense part's parameters, with and without fine-tuning."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.queries.batch_norm import BatchNormMatched
from experiments import figure
from experiments.lenet import CACHE, error, num_parameters
from experiments.mnist import NoDataError
from experiments.provenance import provenance
from experiments.spread import mean_spread, verdict
from experiments.surroundings import query_cache, threads
from experiments.vgg_cifar import VGG, trained_vgg
from experiments.vgg_dense.features import final_features, noise_features, train_features
from experiments.vgg_dense.heads import OPTIMAL, ROWS, SCRATCH, WHOLE, heads, pruned
from experiments.vgg_dense.tuning import Plan, Work, best_heads

REMOVED = 0.75
"""Of the parameters of the dense part, as in the paper."""

THREADS = 2

FOLDER = CACHE / "vgg_dense"
"""Features, the pruned network and tuned heads; delete it to make everything again."""


FULL = Plan(
    seeds=(0, 1, 2),
    rates=(1e-3, 2e-4),
    label_shares=(1.0, 0.5),
    epochs=8,
    held_back=5000,
    folder=FOLDER,
)
QUICK = Plan(
    seeds=(0,),
    rates=(1e-3,),
    label_shares=(1.0, 0.5),
    epochs=1,
    held_back=100,
    queries=BatchNormMatched(examples=20, batch=20, steps=2),
    train=400,
    test=200,
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune the dense part, fine-tune it, and read the test images once all weights are final.

    Args:
        quick: Few pictures and steps; where weights or pictures are missing an untrained network
            and noise take their place.

    Returns:
        Errors in percent.
    """
    plan = QUICK if quick else FULL
    before = time.perf_counter()
    with threads(THREADS), query_cache(None if plan.folder is None else CACHE):
        work = _work(plan, quick=quick)
        kept = None if plan.folder is None else plan.folder / "pruned"
        small, seconds = pruned(work.model, removed=REMOVED, queries=plan.queries, folder=kept)
        found = heads(work.model, small)
        tuned = [best_heads(name, head, work) for name, head in found.items()]
        rows, labels = _final(work)
        whole, dense = (num_parameters(part) for part in (work.model, work.model.classifier))
        runs = [
            {
                "name": name,
                "widths": [layer.out_features for layer in _linear(head)[:-1]],
                "removed_dense": round(100 * (1 - num_parameters(head) / dense), 2),
                "removed": round(100 * (dense - num_parameters(head)) / whole, 2),
                "error": round(error(head, rows, labels), 2),
                "tuned": [round(error(one, rows, labels), 2) for one in best["heads"]],
                **{key: best[key] for key in ("rate", "label_share", "held_back")},
            }
            for (name, head), best in zip(found.items(), tuned, strict=True)
        ]
        return {
            "choices": {**asdict(plan), "folder": None},
            "runs": runs,
            "dense": dense,
            "whole": whole,
            "test": len(labels),
            "pruning_seconds": seconds and round(seconds, 1),
            **provenance(seeds=plan.seeds, started=time.process_time(), data=work.source),
            "seconds": round(time.perf_counter() - before, 1),
        }


def _work(plan: Plan, *, quick: bool) -> Work:
    """The network and its training rows.

    Raises:
        NoDataError: When weights or pictures are not here, unless stand-ins do.
    """
    source = "CIFAR-10"
    try:
        model = trained_vgg()
        rows, labels = train_features(model, folder=plan.folder, count=plan.train)
    except NoDataError:
        if not quick:
            raise
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = VGG((8, 0, 8, 0, 8, 0, 8, 0, 16, 0), (12, 12)).eval()
        rows, labels = noise_features(16, count=400, seed=0)
        source = "an untrained network and noise"
    return Work(model=model, rows=rows, labels=labels, source=source, plan=plan)


def _final(work: Work) -> tuple[Tensor, Tensor]:
    if work.source == "CIFAR-10":
        return final_features(work.model, folder=work.plan.folder, count=work.plan.test)
    return noise_features(work.rows.shape[1], count=200, seed=1)


def _linear(head: nn.Module) -> list[nn.Linear]:
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear)]


def _row(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in results["runs"] if entry["name"] == name)


def table(results: dict[str, Any]) -> str:
    """Test errors without and with fine-tuning."""
    lines = [
        "| | widths | of the dense part removed, % | of all parameters, % | test error, % | "
        "fine-tuned, % | rate | label share |",
        "|---" * 8 + "|",
    ]
    for entry in results["runs"]:
        cells = [
            ", ".join(map(str, entry["widths"])),
            f"{entry['removed_dense']:.1f}",
            f"{entry['removed']:.1f}",
            f"{entry['error']:.2f}",
            mean_spread(entry["tuned"]),
            f"{entry['rate']:g}",
            f"{entry['label_share']:g}",
        ]
        lines.append(f"| {entry['name']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _note(results), "", *_comparisons(results)])


def _note(results: dict[str, Any]) -> str:
    choices = results["choices"]
    return (
        f"Errors on {results['test']:,} test images. Fine-tuned: mean ± standard deviation over "
        f"orders of seeds {', '.join(map(str, results['seeds']))}; epochs: {choices['epochs']}, "
        "on the features of the training images but for "
        f"{choices['held_back']:,}, which chose rate, label share and weights. The dense part has "
        f"{results['dense']:,} of {results['whole']:,} parameters.\n"
        f"Data: {results['data']}. coreprune {results['coreprune']}, torch {results['torch']}, "
        f"{results['threads']} threads; {results['seconds']:.0f} s in the last run."
    )


def _comparisons(results: dict[str, Any]) -> Iterator[str]:
    """The fine-tuned network against the others, paired by the order of the images."""
    mine = _row(results, OPTIMAL)["tuned"]
    before = _row(results, WHOLE)["error"]
    others = {
        "the network before": [before] * len(mine),
        "that network fine-tuned alike": _row(results, WHOLE)["tuned"],
        "the small network from the start": _row(results, SCRATCH)["tuned"],
    }
    for words, errors in others.items():
        said = verdict(
            [own - other for own, other in zip(mine, errors, strict=True)],
            lower="error lower",
            higher="error higher",
            neither="not told apart",
        )
        yield f"- Pruned and fine-tuned, against {words}: {said}."


def draw(results: dict[str, Any], path: Path) -> None:
    """Errors without and with fine-tuning by row."""
    drawing, axes = figure.one_panel()
    for position, name in enumerate(ROWS):
        entry = _row(results, name)
        axes.scatter([position], [entry["error"]], marker="o", color="#0072B2")
        axes.scatter([position] * len(entry["tuned"]), entry["tuned"], marker="P", color="#D55E00")
        axes.hlines(statistics.mean(entry["tuned"]), position - 0.2, position + 0.2, color="k")
    axes.scatter([], [], marker="o", color="#0072B2", label="as it is")
    axes.scatter([], [], marker="P", color="#D55E00", label="fine-tuned")
    axes.set_yscale("log")
    axes.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xticks(range(len(ROWS)), ROWS)
    axes.set_ylabel("test error, %")
    axes.legend()
    figure.save(drawing, path)
