"""Other pruners on the same networks at the same widths, without data, in one run."""

import importlib.metadata
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from experiments import figure, mnist
from experiments.lenet import PARAMETERS, Recipe, error, num_parameters, trained
from experiments.mnist import Digits
from experiments.peers import by_onnxsim, memory, onnx_files
from experiments.peers.contenders import Contender, Effort, contenders
from experiments.peers.latency import RUNTIMES, latencies
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.spread import mean_spread, spread, verdict

WHOLE = "not pruned"
PEERS = ("torch-pruning", "onnxsim", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks.
        widths: Neurons kept in fc1 and fc2.
        recipe: Of the trained networks.
        effort: What contenders may spend.
        memory: The widths of the calls in processes of their own.
        measured: Whose calls these are; None measures all.
        batches: Images a call, for latency.
        rounds: Of timing all networks in turns.
    """

    seeds: tuple[int, ...]
    widths: tuple[tuple[int, int], ...]
    recipe: Recipe
    effort: Effort
    memory: tuple[int, int]
    measured: tuple[str, ...] | None
    batches: tuple[int, ...]
    rounds: int


FULL = Plan(
    seeds=(0, 1, 2, 3, 4),
    widths=((150, 50), (90, 30), (60, 40), (32, 35)),
    recipe=Recipe(),
    effort=Effort(),
    memory=(60, 40),
    measured=None,
    batches=(1, 64),
    rounds=41,
)
QUICK = Plan(
    seeds=(0,),
    widths=((90, 30),),
    recipe=Recipe(epochs=3, peak_rate=0.1),
    effort=Effort(rows=64, steps=20),
    memory=(90, 30),
    measured=("torch-pruning, L2",),
    batches=(1,),
    rounds=3,
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune every trained network to every size by every contender, and measure what it costs.

    Nothing is chosen by this run.

    Args:
        quick: One seed, small data, one size, the memory of one contender.

    Returns:
        Errors in percent, seconds, memory, latencies.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    table = contenders(plan.effort)
    models = {
        seed: trained(digits, seed=seed, recipe=plan.recipe).model.eval() for seed in plan.seeds
    }
    runs, networks = [], {}
    for seed in progress(plan.seeds, "networks"):
        cuts = _cuts(table, models[seed], plan.widths, seed=seed)
        runs += [_measured(cut, digits, seed=seed) for cut in cuts]
        if seed == plan.seeds[0]:
            networks = _timed(cuts)
    first = models[plan.seeds[0]]
    return {
        "choices": asdict(plan),
        "libraries": {name: contender.library for name, contender in table.items()},
        "runs": runs,
        "calls": _calls(table, first, plan),
        "latencies": latencies(networks, batches=plan.batches, rounds=plan.rounds),
        "dead": [by_onnxsim.dead_units(onnx_files.exported(model)) for model in models.values()],
        "versions": {name: importlib.metadata.version(name) for name in PEERS},
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cut:
    """A network, who made it and in how many seconds."""

    name: str
    widths: tuple[int, int]
    model: nn.Sequential
    seconds: float = 0.0


def _cuts(
    table: dict[str, Contender],
    model: nn.Sequential,
    sizes: tuple[tuple[int, int], ...],
    *,
    seed: int,
) -> list[_Cut]:
    cuts = [_Cut(name=WHOLE, widths=(300, 100), model=model)]
    subjects: dict[Any, Any] = {}  # an export takes long, and several start from the same file
    for name, contender in table.items():
        if contender.prepare not in subjects:
            subjects[contender.prepare] = contender.prepare(model)
        subject = subjects[contender.prepare]
        for widths in sizes:
            before = time.perf_counter()
            small = contender.prune(subject, widths, seed)
            seconds = time.perf_counter() - before
            cuts.append(
                _Cut(name=name, widths=widths, model=contender.network(small), seconds=seconds)
            )
    return cuts


def _measured(cut: _Cut, digits: Digits, *, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "name": cut.name,
        "widths": list(cut.widths),
        "got": list(_widths(cut.model)),
        "removed": round(100 * (1 - num_parameters(cut.model) / PARAMETERS), 2),
        "error": round(error(cut.model, digits.test_images, digits.test_labels), 3),
        "seconds": round(cut.seconds, 4),
    }


def _widths(model: nn.Sequential) -> tuple[int, int]:
    return model.fc1.out_features, model.fc2.out_features


def _timed(cuts: list[_Cut]) -> dict[str, nn.Sequential]:
    """One network for each pair of widths that came out: the same shapes cost the same."""
    networks: dict[str, nn.Sequential] = {}
    for cut in cuts:
        networks.setdefault(", ".join(map(str, _widths(cut.model))), cut.model)
    return networks


def _calls(
    table: dict[str, Contender], model: nn.Sequential, plan: Plan
) -> dict[str, dict[str, float | None]]:
    """What one call costs in a process of its own, by contender."""
    names = table if plan.measured is None else plan.measured
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: memory.measured(name, model, plan.memory, effort=plan.effort, folder=Path(folder))
            for name in progress(list(names), "processes")
        }


def _values(
    results: dict[str, Any], name: str, widths: list[int] | None = None, *, key: str
) -> list[Any]:
    return [
        entry[key]
        for entry in results["runs"]
        if entry["name"] == name and (widths is None or entry["widths"] == widths)
    ]


def table(results: dict[str, Any]) -> str:
    """Errors, costs and latencies."""
    return "\n\n".join([
        _errors(results),
        _errors_note(results),
        "\n".join(_comparison(results, widths) for widths in results["choices"]["widths"]),
        _latency_table(results),
        _latency_note(results),
    ])  # fmt: skip


def _errors(results: dict[str, Any]) -> str:
    sizes = results["choices"]["widths"]
    heads = [f"{first}, {second}" for first, second in sizes]
    lines = [
        f"| contender | {' | '.join(heads)} | seconds | first call, seconds | MiB | again, MiB |",
        "|---|" + "---|" * (len(sizes) + 4),
    ]
    for name in results["libraries"]:
        cells = [mean_spread(_values(results, name, widths, key="error")) for widths in sizes]
        seconds = statistics.median(_values(results, name, key="seconds"))
        call = results["calls"].get(name, {})
        costs = [
            _number(call.get("first_seconds"), digits=2),
            _number(call.get("first_mib"), digits=1),
            _number(call.get("again_mib"), digits=1),
        ]
        lines.append(
            f"| {_label(results, name)} | {' | '.join(cells)} | {seconds:.3f} | "
            f"{' | '.join(costs)} |"
        )
    return "\n".join(lines)


def _label(results: dict[str, Any], name: str) -> str:
    library = results["libraries"][name]
    return name if name.startswith(library) else f"{library}, {name}"


def _number(value: float | None, *, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _errors_note(results: dict[str, Any]) -> str:
    whole = mean_spread(_values(results, WHOLE, key="error"))
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    removed = ", ".join(
        f"{statistics.mean(_values(results, 'optimal', widths, key='removed')):.1f}"
        for widths in results["choices"]["widths"]
    )
    inexact = sorted({
        entry["name"]
        for entry in results["runs"]
        if entry["name"] != WHOLE and entry["got"] != entry["widths"]
    })  # fmt: skip
    return (
        f"Test error in percent at widths of fc1 and fc2; the networks themselves have {whole}. "
        f"Mean ± standard deviation over {len(results['seeds'])} networks (seeds "
        f"{', '.join(map(str, results['seeds']))}). Parameters removed: {removed} %. Widths that "
        f"are not those asked for: {', '.join(inexact) or 'none'}. Seconds: median of the whole "
        "call over networks and widths. First call and MiB: one call in a process of its own, to "
        f"widths {', '.join(map(str, results['choices']['memory']))}, and the peak of its resident "
        "memory above what it was with everything imported and loaded, modules that it imports "
        "late included; again: the next call in the same process, after freed memory was given "
        "back to the system. onnxsim is handed the ONNX file, its export not counted; refitted to "
        f"{results['choices']['effort']['rows']} normal inputs.\n"
        "onnxsim's stable_relu_prune, which removes only what it proves to be zero for every image "
        f"with pixels in [0, 1], finds {', '.join(map(str, results['dead']))} of 400 neurons.\n"
        f"Data: {results['data']}, for the test error alone. coreprune {results['coreprune']}, "
        f"torch {results['torch']}, {versions}, one thread; {results['seconds']:.0f} s of "
        "processor time in this process."
    )


def _comparison(results: dict[str, Any], widths: list[int]) -> str:
    """The library's default against the best of the others at these widths, paired by network."""
    errors = {
        name: _values(results, name, widths, key="error")
        for name, library in results["libraries"].items()
        if library != "coreprune" or name == "optimal"
    }
    ours = errors.pop("optimal")
    best = min(errors, key=lambda name: statistics.mean(errors[name]))
    said = verdict(
        [own - other for own, other in zip(ours, errors[best], strict=True)],
        lower="optimal errs less",
        higher="optimal errs more",
        neither="no difference beyond the spread",
    )
    return f"- Widths {widths[0]}, {widths[1]}: best of the others is {best}; {said}."


def _latency_table(results: dict[str, Any]) -> str:
    columns = [(runtime, batch) for runtime in RUNTIMES for batch in results["choices"]["batches"]]
    lines = [
        "| widths | who has them | "
        + " | ".join(f"{runtime}, batch {batch}" for runtime, batch in columns)
        + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    cells = {
        (entry["network"], entry["runtime"], entry["batch"]): (
            f"{entry['microseconds']:.1f} µs (× {entry['ratio']:.2f})"
        )
        for entry in results["latencies"]
    }
    for network in dict.fromkeys(entry["network"] for entry in results["latencies"]):
        row = [cells[network, *column] for column in columns]
        lines.append(f"| {network} | {_owners(results, network)} | {' | '.join(row)} |")
    return "\n".join(lines)


def _owners(results: dict[str, Any], network: str) -> str:
    """Whose networks have these widths; a crowd is counted."""
    seed = results["seeds"][0]
    names = [
        entry["name"]
        for entry in results["runs"]
        if entry["seed"] == seed and ", ".join(map(str, entry["got"])) == network
    ]
    return ", ".join(names) if len(names) < 3 else f"{len(names)} contenders"


def _latency_note(results: dict[str, Any]) -> str:
    return (
        "Latency of one call, one thread: the median of "
        f"{results['choices']['rounds']} rounds that time every network in turns, and the median "
        f"ratio to the original within a round. Networks of seed {results['seeds'][0]}, one for "
        "each pair of widths, because the same shapes cost the same; torch in eager inference "
        "mode, ONNX Runtime on its CPU provider with the file of torch's exporter."
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """Test error against the share of parameters kept."""
    drawing, axes = figure.one_panel()
    sizes = results["choices"]["widths"]
    shares = [
        100 - statistics.mean(_values(results, "optimal", widths, key="removed"))
        for widths in sizes
    ]
    for name in results["libraries"]:
        errors = [_values(results, name, widths, key="error") for widths in sizes]
        axes.errorbar(
            shares,
            [statistics.mean(values) for values in errors],
            yerr=[spread(values) for values in errors],
            marker=figure.MARKERS[name],
            color=figure.COLOURS[name],
            capsize=3,
            label=_label(results, name),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(shares, [f"{share:.0f}" for share in shares])
    axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("parameters kept, %")
    axes.set_ylabel("test error right after pruning, %")
    drawing.legend(fontsize="small", loc="outside right upper")
    figure.save(drawing, path)
