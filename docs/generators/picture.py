"""The picture of the front page: what networks are worth right after pruning."""

import statistics
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.generators.measured import results_of
from experiments import figure

DENSE = {
    "torch-pruning, L1": "norms (torch-pruning)",
    "onnxsim, L2, refitted": "norms, refitted (onnxsim)",
    "optimal": "coreprune",
    "optimal, repaired": "coreprune, repaired without data",
}
CHANNELS = {
    "torch-pruning, L1": "norms (torch-pruning)",
    "optimal": "coreprune",
    "optimal, repaired": "coreprune, repaired without data",
}


def picture() -> Figure:
    """Two panels: LeNet-300-100 by size, convolutional networks one by one."""
    drawing = Figure(figsize=(9.6, 3.6), layout="constrained")
    left, right = drawing.subplots(1, 2)
    _dense(left, results_of("peers"))
    _channels(right, results_of("convolutional"))
    for axes in (left, right):
        axes.set_ylabel("test accuracy, %")
        axes.set_ylim(0, 100)
        axes.grid(visible=True, alpha=0.3)
    left.legend(loc="lower left", fontsize="small")
    return drawing


def _dense(axes: Axes, results: dict[str, Any]) -> None:
    sizes = results["choices"]["widths"]
    for name, label in DENSE.items():
        runs = [run for run in results["runs"] if run["name"] == name]
        of_size = [[run for run in runs if run["widths"] == size] for size in sizes]
        axes.plot(
            [statistics.mean(run["removed"] for run in group) for group in of_size],
            [100 - statistics.mean(run["error"] for run in group) for group in of_size],
            marker=figure.MARKERS[name],
            color=figure.COLOURS[name],
            label=label,
        )
    axes.set_xlabel("parameters removed, %")
    axes.set_title("LeNet-300-100, MNIST", fontsize="medium")


def _channels(axes: Axes, results: dict[str, Any]) -> None:
    cases = results["choices"]["cases"]
    for place, name in enumerate(CHANNELS):
        found = {
            (run["network"], run["keep"]): run["accuracy"]
            for run in results["runs"]
            if run["name"] == name
        }
        axes.bar(
            [case + 0.27 * (place - 1) for case in range(len(cases))],
            [found[tuple(case)] for case in cases],
            width=0.25,
            color=figure.COLOURS[name],
        )
    whole = {run["network"]: run["accuracy"] for run in results["originals"]}
    for place, (network, _) in enumerate(cases):
        axes.plot([place - 0.42, place + 0.42], [whole[network]] * 2, color="black", linewidth=1)
    axes.set_xticks(
        range(len(cases)),
        [f"{network}\n{100 * keep:.0f} % kept" for network, keep in cases],
        fontsize="small",
    )
    axes.set_title("channels, CIFAR-10 (line: not pruned)", fontsize="medium")


def draw(path: Path) -> None:
    """Write it as an SVG file that is the same whenever the figures are."""
    figure.save(picture(), path)
