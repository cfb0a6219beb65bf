"""MiniLM-L6 on STS-B with fewer inner neurons: this library, norms and torch-pruning."""

import importlib.metadata
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coreprune.repair import Repair
from experiments import figure
from experiments.convolutional.asked import compared
from experiments.lenet import CACHE
from experiments.minilm import sentence_model, stand_ins
from experiments.minilm.contenders import CONTENDERS, REPAIRED, TOKENS, WEIGHTS, Job
from experiments.minilm.sts import Pairs, final_pairs, train_sentences
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.records import stored

WHOLE = "not pruned"
SHARES = (0.75, 0.5)
ASKED: dict[tuple[str, float], tuple[float | None, float | None]] = {
    (WEIGHTS, 0.75): (81.5, 81.8),
    (TOKENS, 0.75): (81.5, 81.8),
    (WEIGHTS, 0.5): (80.5, 81.2),
    (TOKENS, 0.5): (80.5, 81.2),
    (REPAIRED, 0.5): (None, 81.5),
}
"""Floor and aim of what was asked before it was measured, 100 times the correlation."""

REPAIR = Repair(steps=150, learning_rate=1e-3, check_every=25)
"""As tried on the development split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        cases: Names in the table of contenders, each with a share of inner neurons to keep.
        repair: For those who repair.
        sentences: Of the training split, for those who read them.
        folder: Where records are kept; None measures everything.
    """

    cases: tuple[tuple[str, float], ...]
    repair: Repair
    sentences: int
    folder: Path | None = None


FULL = Plan(
    cases=tuple(
        (name, keep) for keep in SHARES for name in CONTENDERS if (name, keep) != (REPAIRED, 0.75)
    ),
    repair=REPAIR,
    sentences=1500,
    folder=CACHE / "minilm" / "records",
)
QUICK = Plan(
    cases=tuple((name, 0.5) for name in CONTENDERS),
    repair=Repair(steps=3, held_back=1, check_every=1),
    sentences=60,
)


def run(*, quick: bool) -> dict[str, Any]:
    """Make the model narrower by every contender, then read the test split.

    Nothing is chosen by this run.

    Args:
        quick: An untrained model, made-up sentences, one size.

    Returns:
        Correlations times 100, sizes, seconds.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if quick:
            source, pairs = stand_ins.untrained(place / "whole"), stand_ins.made_up(100)
            sentences = stand_ins.made_up(plan.sentences).first
        else:
            source, pairs = sentence_model.folder(), final_pairs()
            sentences = train_sentences(plan.sentences)
        key = {"name": WHOLE, "pairs": len(pairs.scores)}
        original = stored(plan.folder, key, partial(_judged, source, pairs))
        runs = []
        for number, (name, keep) in enumerate(progress(plan.cases, "contenders")):
            job = Job(
                source=source,
                target=place / f"small-{number}",
                keep=keep,
                sentences=sentences,
                repair=plan.repair,
            )
            runs.append(_record(name, job, pairs, plan=plan))
    return {
        "choices": {**asdict(plan), "folder": None},
        "original": original,
        "runs": runs,
        **provenance(
            seeds=(0,),
            started=started,
            data="made up" if quick else "STS-B, English, test split",
        ),
        "seconds": round(sum(entry["seconds"] for entry in runs), 1),
        "torch_pruning": importlib.metadata.version("torch-pruning"),
        "transformers": importlib.metadata.version("transformers"),
    }


def _record(name: str, job: Job, pairs: Pairs, *, plan: Plan) -> dict[str, Any]:
    """One size by one contender, measured or as it was kept."""
    key: dict[str, Any] = {"name": name, "keep": job.keep, "pairs": len(pairs.scores)}
    if name == REPAIRED:
        key["settings"] = asdict(job.repair)

    def measure() -> dict[str, Any]:
        before = time.process_time()
        extra = CONTENDERS[name](job)
        seconds = time.process_time() - before
        return {**_judged(job.target, pairs), "seconds": round(seconds, 2), **extra}

    return stored(plan.folder, key, measure)


def _judged(place: Path, pairs: Pairs) -> dict[str, Any]:
    model = sentence_model.model_of(place)
    return {
        "correlation": round(100 * sentence_model.correlation(place, pairs, model=model), 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "width": model.config.intermediate_size,
    }


def _entry(results: dict[str, Any], name: str, keep: float) -> dict[str, Any] | None:
    found = (e for e in results["runs"] if (e["name"], e["keep"]) == (name, keep))
    return next(found, None)


def _axes(results: dict[str, Any]) -> tuple[list[str], list[float]]:
    """The contenders and the shares that were run."""
    names = dict.fromkeys(entry["name"] for entry in results["runs"])
    shares = dict.fromkeys(entry["keep"] for entry in results["runs"])
    return list(names), list(shares)


def _cell(entry: dict[str, Any] | None, key: str, digits: int) -> str:
    return "–" if entry is None else f"{entry[key]:.{digits}f}"


def table(results: dict[str, Any]) -> str:
    """Correlations, what was asked of them, sizes and seconds."""
    names, shares = _axes(results)
    heads = [f"{100 * keep:.0f} % kept" for keep in shares]
    lines = [f"| | {' | '.join(heads)} | {' | '.join(f'{one}, s' for one in heads)} |"]
    lines.append("|---" * (1 + 2 * len(shares)) + "|")
    for name in names:
        entries = [_entry(results, name, keep) for keep in shares]
        scores = " | ".join(_cell(entry, "correlation", 2) for entry in entries)
        seconds = " | ".join(_cell(entry, "seconds", 0) for entry in entries)
        lines.append(f"| {name} | {scores} | {seconds} |")
    return "\n\n".join(["\n".join(lines), _note(results), _asked(results)])


def _note(results: dict[str, Any]) -> str:
    whole, choices = results["original"], results["choices"]
    sizes = {entry["keep"]: entry for entry in results["runs"]}
    kept = ", ".join(
        f"{one['width']} at {100 * keep:.0f} % "
        f"({100 * one['parameters'] / whole['parameters']:.0f} % of all parameters)"
        for keep, one in sizes.items()
    )
    return (
        f"Spearman's correlation with people's scores × 100 over {whole['pairs']:,} pairs; not "
        f"pruned: {whole['correlation']:.2f}. Inner neurons of every block, of {whole['width']}: "
        f"{kept}. Processor seconds of pruning, repair included; {choices['repair']['steps']:,} "
        f"steps of it; {choices['sentences']:,} real sentences.\n"
        f"Data: {results['data']}. coreprune {results['coreprune']}, torch-pruning "
        f"{results['torch_pruning']}, transformers {results['transformers']}, torch "
        f"{results['torch']}, one thread."
    )


def _asked(results: dict[str, Any]) -> str:
    if results["data"] == "made up":
        return "Made-up sentences are not compared with what was asked."
    lines = ["| | neurons kept | floor | aim | measured |", "|---|---|---|---|---|"]
    for (name, keep), wanted in ASKED.items():
        entry = _entry(results, name, keep)
        cells = compared(wanted, None if entry is None else entry["correlation"])
        lines.append(f"| {name} | {100 * keep:.0f} % | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """The correlation of every contender at every size."""
    drawing, axes = figure.one_panel()
    names, shares = _axes(results)
    for place, name in enumerate(names):
        found = [one for keep in shares if (one := _entry(results, name, keep)) is not None]
        scores = [entry["correlation"] for entry in found]
        axes.plot(scores, [place] * len(scores), color="0.7", zorder=0)
        axes.scatter(scores, [place] * len(scores))
        for entry in found:
            said, where = f"{100 * entry['keep']:.0f} %", (entry["correlation"], place)
            axes.annotate(said, where, (0, 6), textcoords="offset points")
    axes.axvline(results["original"]["correlation"], color="k", linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("Spearman's correlation × 100")
    figure.save(drawing, path)
