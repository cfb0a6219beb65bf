"""Tables of what experiments and benchmarks measured, with the day and the command."""

import json
import statistics
from typing import Any

from benchmarks.__main__ import RESULTS
from experiments.__main__ import EXPERIMENTS, HERE
from experiments.spread import mean_spread

PEERS = {
    "torch-pruning, L1": "torch-pruning, L1 norm",
    "torch-pruning, FPGM": "torch-pruning, FPGM",
    "onnxsim, L2": "onnxsim, L2 norm",
    "onnxsim, L2, refitted": "onnxsim, L2 norm, refitted to noise",
    "importance": "the paper's sampling, in coreprune",
    "optimal": "**coreprune**",
    "optimal, repaired": "**coreprune, repaired without data**",
}
"""The contenders of the short table; the experiment has all of them."""


def results_of(name: str) -> dict[str, Any]:
    """What an experiment measured."""
    found: dict[str, Any] = json.loads((HERE / name / "results.json").read_text("utf-8"))
    return found


def experiment(name: str) -> str:
    """An experiment's own table."""
    results = results_of(name)
    return f"{EXPERIMENTS[name].table(results).strip()}\n\n{_origin(name, results)}"


def peers() -> str:
    """Test errors right after pruning, beside other pruners."""
    results = results_of("peers")
    sizes = results["choices"]["widths"]
    removed = [
        statistics.mean(run["removed"] for run in results["runs"] if run["widths"] == size)
        for size in sizes
    ]
    lines = [
        "| parameters removed | " + " | ".join(f"{share:.0f} %" for share in removed) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for name, words in PEERS.items():
        cells = [mean_spread(_errors(results, name, size), 1) for size in sizes]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    whole = mean_spread(_errors(results, "not pruned", [300, 100]), 1)
    versions = ", ".join(
        f"{name} {version}"
        for name, version in results["versions"].items()
        if name != "onnxruntime"
    )
    return "\n".join([
        *lines,
        "",
        "Test error in percent of LeNet-300-100 on MNIST, no data and no fine-tuning; unpruned "
        f"{whole}. Mean ± standard deviation over {len(results['seeds'])} networks; {versions}.",
        _origin("peers", results),
    ])  # fmt: skip


def benchmarks() -> str:
    """What the library costs."""
    if not RESULTS.exists():
        return (
            "Not published yet: ratios are worth something only from a machine that does nothing "
            "else. `python -m benchmarks --publish` measures them, and the next `make docs` shows "
            "them here."
        )
    results = json.loads(RESULTS.read_text("utf-8"))
    lines = ["| | measured | | limit |", "|---|---|---|---|"]
    for cost in results["costs"]:
        limit = "" if cost["limit"] is None else f"{cost['limit']:g}"
        lines.append(f"| {cost['what']} | {cost['value']:.2f} | {cost['unit']} | {limit} |")
    return "\n".join([
        *lines,
        "",
        f"Measured {results['date']} by `python -m benchmarks --publish`; "
        f"coreprune {results['coreprune']}, torch {results['torch']}.",
    ])  # fmt: skip


def _errors(results: dict[str, Any], name: str, widths: list[int]) -> list[float]:
    return [
        run["error"] for run in results["runs"] if run["name"] == name and run["widths"] == widths
    ]


def _origin(name: str, results: dict[str, Any]) -> str:
    return f"Measured {results['date']} by `python -m experiments {name}`."
