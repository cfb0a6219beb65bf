"""ResNet-20, ResNet-56 and VGG-16 with fewer channels: pruned, and repaired, without data."""

import importlib.metadata
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.repair import Repair
from experiments import figure
from experiments.cifar import Pictures, accuracy
from experiments.convolutional.asked import ASKED, compared
from experiments.convolutional.contenders import CONTENDERS, MATCHING, OPTIMAL, REPAIRED, Effort
from experiments.convolutional.networks import Subject, size_of, subject_of, widths_of
from experiments.lenet import CACHE
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.records import place, stored
from experiments.surroundings import query_cache, threads

REPAIR = Repair(seconds=300)
"""How the pruned networks are repaired, on `THREADS` threads."""

RATES = {"VGG-16": 3e-4}
"""Other learning rates than the default: the weights of this network are a tenth of the others' in
size, and steps as large as theirs make nothing better on held-back queries."""

THREADS = 2

FOLDER = CACHE / "convolutional"
"""Records and unfinished repairs; delete it to measure everything again."""

WHOLE, PEER = "not pruned", "torch-pruning, L1"
ALL = 10_000
"""The test pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        cases: Networks and the share of their inner channels to keep.
        contenders: Names in the table of contenders.
        effort: What the library may spend.
        rates: Learning rates of repair by network, where they are not that of `effort`.
        pictures: How many test pictures; None for all.
        folder: Where records are kept; None measures everything.
    """

    cases: tuple[tuple[str, float], ...]
    contenders: tuple[str, ...]
    effort: Effort
    rates: Mapping[str, float] = field(default_factory=dict)
    pictures: int | None = None
    folder: Path | None = None


FULL = Plan(
    cases=tuple(ASKED),
    contenders=tuple(CONTENDERS),
    effort=Effort(repair=REPAIR),
    rates=RATES,
    folder=FOLDER,
)
QUICK = Plan(
    cases=(("ResNet-20", 0.5),),
    contenders=tuple(CONTENDERS),
    effort=Effort(
        repair=Repair(steps=2, held_back=1, check_every=1),
        queries=BatchNormMatched(examples=20, batch=20, steps=2),
    ),
    pictures=200,
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune every network to every size by every contender, then read the test pictures.

    Nothing is chosen by this run.

    Args:
        quick: One network, one size, a few queries, steps and pictures; where weights or pictures
            are missing an untrained network and noise take their place.

    Returns:
        Accuracies in percent, sizes, seconds.
    """
    return measured(QUICK if quick else FULL, quick=quick)


def measured(plan: Plan, *, quick: bool = False) -> dict[str, Any]:
    """What `run` does, for any plan.

    Args:
        plan: What is run.
        quick: Whether stand-ins do.

    Returns:
        The results.
    """
    with threads(THREADS), query_cache(None if plan.folder is None else CACHE):
        originals, runs, source = [], [], ""
        for network in dict.fromkeys(name for name, _ in plan.cases):
            subject = subject_of(network, quick=quick)
            source, pictures = subject.source, _few(subject.pictures(), plan.pictures)
            key = {"network": network, "name": WHOLE, "pictures": len(pictures.labels)}
            originals.append(stored(plan.folder, key, partial(_whole, subject, pictures)))
            jobs = [(c, name) for name in plan.contenders for c in plan.cases if c[0] == network]
            for (_, keep), name in progress(jobs, network):
                runs.append(_record(subject, pictures, plan, key=(network, keep, name)))
        return {
            "choices": {**asdict(plan), "folder": None},
            "originals": originals,
            "runs": runs,
            **provenance(seeds=(0,), started=time.process_time(), data=source),
            "seconds": round(sum(entry["seconds"] for entry in [*originals, *runs]), 1),
            "torch_pruning": importlib.metadata.version("torch-pruning"),
        }


def _record(
    subject: Subject, pictures: Pictures, plan: Plan, *, key: tuple[str, float, str]
) -> dict[str, Any]:
    """One size of one network by one contender, measured or as it was kept."""
    network, keep, name = key
    rate = plan.rates.get(network, plan.effort.repair.learning_rate)
    effort = replace(plan.effort, repair=replace(plan.effort.repair, learning_rate=rate))
    full: dict[str, Any] = {"network": network, "keep": keep, "name": name}
    full["pictures"] = len(pictures.labels)
    if name in {OPTIMAL, REPAIRED}:
        full["queries"] = None if plan.effort.queries is None else asdict(plan.effort.queries)
    if name == REPAIRED:
        full["settings"] = asdict(effort.repair)
    kept = None if plan.folder is None else place(plan.folder, full)

    def measure() -> dict[str, Any]:
        before = time.perf_counter()
        small, extra = CONTENDERS[name](subject, keep, replace(effort, kept=kept))
        seconds = time.perf_counter() - before
        return {
            **_judged(small, pictures),
            "widths": widths_of(small, subject.inner),
            "seconds": round(sum(extra["stages"].values()) if "stages" in extra else seconds, 3),
            **extra,
        }

    return stored(plan.folder, full, measure)


def _whole(subject: Subject, pictures: Pictures) -> dict[str, Any]:
    return {**_judged(subject.model, pictures), "seconds": 0.0}


def _judged(model: nn.Module, pictures: Pictures) -> dict[str, Any]:
    return {"accuracy": round(100 * accuracy(model, pictures), 2), **size_of(model)}


def _few(pictures: Pictures, count: int | None) -> Pictures:
    return Pictures(images=pictures.images[:count], labels=pictures.labels[:count])


def _entry(results: dict[str, Any], case: tuple[str, float], name: str) -> dict[str, Any] | None:
    found = (
        entry
        for entry in results["runs"]
        if (entry["network"], entry["keep"], entry["name"]) == (*case, name)
    )
    return next(found, None)


def _original(results: dict[str, Any], network: str) -> dict[str, Any]:
    return next(entry for entry in results["originals"] if entry["network"] == network)


def _cell(entry: dict[str, Any] | None) -> str:
    return "–" if entry is None else f"{entry['accuracy']:.2f}"


def _accuracy(entry: dict[str, Any] | None) -> float | None:
    return None if entry is None else entry["accuracy"]


SHOWN = (OPTIMAL, REPAIRED, *(name for name in CONTENDERS if name not in {OPTIMAL, REPAIRED}))


def table(results: dict[str, Any]) -> str:
    """Accuracies, what was asked of them, sizes and seconds."""
    return "\n\n".join([
        _accuracies(results),
        _accuracies_note(results),
        _asked(results),
        _costs(results),
        _costs_note(results),
    ])  # fmt: skip


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _accuracies(results: dict[str, Any]) -> str:
    lines = _head("network", "channels kept", WHOLE, *SHOWN)
    for network, keep in results["choices"]["cases"]:
        cells = [_cell(_entry(results, (network, keep), name)) for name in SHOWN]
        whole = _cell(_original(results, network))
        lines.append(f"| {network} | {100 * keep:.0f} % | {whole} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _accuracies_note(results: dict[str, Any]) -> str:
    pictures = results["originals"][0]["pictures"]
    others = _other_widths(results)
    same = "the same for all" + (f" but {'; '.join(others)}" if others else "")
    return (
        f"Accuracy in percent on {pictures:,} test pictures. Channels kept in each layer: {same}."
        f"\nData: {results['data']}, for the test accuracy alone. "
        f"coreprune {results['coreprune']}, torch-pruning {results['torch_pruning']}, torch "
        f"{results['torch']}, {results['threads']} threads; {results['seconds']:.0f} s in all."
    )


def _other_widths(results: dict[str, Any]) -> list[str]:
    """Who did not keep the channels that most of the contenders kept."""
    found = []
    for network, keep in results["choices"]["cases"]:
        rows = [e for e in results["runs"] if (e["network"], e["keep"]) == (network, keep)]
        widths = [entry["widths"] for entry in rows]
        usual = max(widths, key=widths.count, default={})
        found += [
            f"{entry['name']} of {network} at {100 * keep:.0f} %"
            for entry in rows
            if entry["widths"] != usual
        ]
    return found


def _asked(results: dict[str, Any]) -> str:
    if results["originals"][0]["pictures"] < ALL:
        return "Too few pictures to compare with what was asked."
    lines = _head(
        "network", "channels kept", "pruned: floor", "aim", "measured",
        "repaired: floor", "aim", "measured",
    )  # fmt: skip
    for network, keep in results["choices"]["cases"]:
        asked = ASKED[network, keep]
        cells = [
            cell
            for wanted, name in ((asked.pruned, OPTIMAL), (asked.repaired, REPAIRED))
            for cell in compared(wanted, _accuracy(_entry(results, (network, keep), name)))
        ]
        lines.append(f"| {network} | {100 * keep:.0f} % | {' | '.join(cells)} |")
    return "\n".join(lines)


def _costs(results: dict[str, Any]) -> str:
    lines = _head(
        "network", "channels kept", "parameters kept, %", "FLOPs kept, %", "queries, s",
        "pruning, s", "repair, s", "repair, steps", f"{PEER}, s",
    )  # fmt: skip
    for network, keep in results["choices"]["cases"]:
        whole = _original(results, network)
        pruned, repaired, peer = (
            _entry(results, (network, keep), name) for name in (OPTIMAL, REPAIRED, PEER)
        )
        size = pruned or peer
        cells = [
            *("–" if size is None else f"{100 * size[key] / whole[key]:.1f}"
              for key in ("parameters", "flops")),
            _seconds(_matching(results, network)),
            _seconds(None if pruned is None else pruned["seconds"] - _spent(pruned, MATCHING)),
            _seconds(None if repaired is None else repaired["repair"]["seconds"]),
            "–" if repaired is None else f"{repaired['repair']['steps']:,}",
            "–" if peer is None else f"{peer['seconds']:.2f}",
        ]  # fmt: skip
        lines.append(f"| {network} | {100 * keep:.0f} % | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spent(entry: dict[str, Any], what: str) -> float:
    return entry["stages"].get(what, 0.0)


def _matching(results: dict[str, Any], network: str) -> float | None:
    """They are made by the first call and found by the others, which spend next to nothing."""
    found = [e for e in results["runs"] if e["network"] == network and "stages" in e]
    return sum(_spent(entry, MATCHING) for entry in found) if found else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _costs_note(results: dict[str, Any]) -> str:
    laws = {e["network"]: e["law"] for e in results["runs"] if e["name"] == OPTIMAL}
    words = "; ".join(f"{network}: {law}" for network, law in laws.items())
    return (
        "Seconds of the clock. Queries are made once for a network and kept, those on which the "
        "result is measured included; pruning is the whole call without them. Repair may take "
        f"{_limit(results['choices']['effort']['repair'])}."
        + (f"\nLaws: {words}." if words else "")
    )


def _limit(repair: dict[str, Any]) -> str:
    given = {"steps": repair["steps"], "seconds": repair["seconds"]}
    return " and ".join(f"{value:,} {unit}" for unit, value in given.items() if value is not None)


def draw(results: dict[str, Any], path: Path) -> None:
    """The accuracy of every contender at every size."""
    drawing, axes = figure.one_panel()
    cases = results["choices"]["cases"]
    for name in SHOWN:
        entries = [_entry(results, (network, keep), name) for network, keep in cases]
        axes.plot(
            [place for place, entry in enumerate(entries) if entry is not None],
            [entry["accuracy"] for entry in entries if entry is not None],
            marker=figure.MARKERS[name],
            color=figure.COLOURS[name],
            linestyle="",
            label=name,
        )
    for place_, (network, _) in enumerate(cases):
        whole = _original(results, network)["accuracy"]
        axes.hlines(whole, place_ - 0.3, place_ + 0.3, color="k", linewidth=0.8)
    axes.set_xticks(
        range(len(cases)), [f"{network}\n{100 * keep:.0f} %" for network, keep in cases]
    )
    axes.set_ylim(0, 100)
    axes.set_ylabel("test accuracy, %")
    axes.legend(fontsize="small", loc="lower left")
    figure.save(drawing, path)
