"""Prune files of others at three sizes without data, and judge them on real inputs."""

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Generator, Tensor

import coreprune
from coreprune import UnsupportedModelError
from coreprune.laws.calls import Law
from coreprune.shells.onnx_file.record import KEY
from experiments import figure
from experiments.onnx_files import readers
from experiments.onnx_files.packages import FOLDER
from experiments.onnx_files.subjects import SUBJECTS, Subject
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.records import stored
from experiments.surroundings import query_cache

KEPT = (0.9, 0.75, 0.5)
RECORDS = FOLDER / "records"
QUICK = "rapidocr, classification"


def run(*, quick: bool) -> dict[str, Any]:
    """Inspect, prune and judge every file.

    Args:
        quick: One small file, its channels chosen by magnitude.

    Returns:
        What can be reached in each file, and what each pruned file is worth.

    Raises:
        NoDataError: When a package cannot be had.
    """
    started = time.process_time()
    subjects = [subject for subject in SUBJECTS if not quick or subject.name == QUICK]
    records = None if quick else RECORDS
    files, rows = [], []
    with query_cache(None if quick else FOLDER / "queries"):
        for subject in progress(subjects, "files"):
            files.append(stored(records, {"file": subject.name}, partial(_inspected, subject)))
            if not files[-1]["reachable"]:
                continue
            laws = (None,) if subject.told is None else (None, subject.told)
            for law, keep in itertools.product(laws, KEPT[-1:] if quick else KEPT):
                key = {"file": subject.name, "keep": keep}
                key |= {} if law is None else {"told": law.words}
                measure = partial(_pruned, subject, keep, law, quick=quick)
                rows.append(stored(records, key, measure))
    return {
        "files": files,
        "rows": rows,
        **provenance(seeds=(0,), started=started, data="files, sounds and pictures of packages"),
    }


def _inspected(subject: Subject) -> dict[str, Any]:
    path = subject.path()
    started = time.process_time()
    found = coreprune.inspect(path, _example(subject))
    seconds = time.process_time() - started
    reasons = Counter(layer.reason for layer in found.layers if layer.reason is not None)
    refusal = None
    if not found.reachable:
        try:
            coreprune.prune(path, _example(subject), keep=0.5)
        except UnsupportedModelError as reason:
            refusal = str(reason).replace(str(path), path.name)
    return {
        "member": path.name,
        "package": subject.package.requirement,
        "bytes": path.stat().st_size,
        "opset": onnx.load(path).opset_import[0].version,
        "parameters": found.parameters,
        "reachable": found.reachable,
        "groups": sum(layer.reason is None for layer in found.layers),
        "whole": dict(reasons.most_common()),
        "refusal": refusal,
        "inspect_seconds": round(seconds, 3),
        "score": None if subject.judge is None else subject.judge(path, path),
    }


def _pruned(subject: Subject, keep: float, law: Law | None, *, quick: bool) -> dict[str, Any]:
    path, method = subject.path(), "magnitude" if quick else "optimal"
    layers = coreprune.inspect(path, _example(subject)).layers
    whole = {layer.name for layer in layers if layer.reason is not None}
    started = time.process_time()
    result = coreprune.prune(path, _example(subject), keep=keep, method=method, queries=law)
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / path.name
        result.save(small)
        score = subject.judge(path, small) if subject.judge is not None else {}
        return {
            "parameters": result.parameters_after,
            "bytes": small.stat().st_size,
            "prune_seconds": round(seconds, 1),
            "law": result.law,
            "restored": sorted({entry.name for entry in result.whole} - whole),
            "kept": kept(path, small),
            "score": score,
        }


def kept(original: Path, small: Path) -> dict[str, bool]:
    """What a pruned file must share with its original, and whether it is valid and runs.

    Args:
        original: The file before.
        small: The file after.

    Returns:
        A truth value for each.
    """
    before, after = onnx.load(original), readers.contents_of(small)
    told = [entry for entry in after.metadata_props if entry.key != KEY]
    return {
        "valid": True,  # or the checker has raised
        "runs": readers.session(small) is not None,
        "inputs and outputs": _ends_of(before) == _ends_of(after),
        "opset": list(before.opset_import) == list(after.opset_import),
        "metadata": list(before.metadata_props) == told,
    }


def _ends_of(model: onnx.ModelProto) -> Sequence[str]:
    inner = {entry.name for entry in model.graph.initializer}
    inputs = [str(entry) for entry in model.graph.input if entry.name not in inner]
    return [*inputs, *map(str, model.graph.output)]


def _example(subject: Subject) -> Tensor | None:
    if subject.shape is None:
        return None
    return torch.randn(subject.shape, generator=Generator().manual_seed(0))


def files_table(results: dict[str, Any]) -> str:
    """What can be reached in each file, in Markdown."""
    lines = [
        "| file | from | parameters | reachable | groups | left whole, and why | inspect |",
        "|---|---|--:|--:|--:|---|--:|",
    ]
    for one in results["files"]:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in one["whole"].items())
        lines.append(
            f"| {one['file']} (`{one['member']}`) | {one['package']} | {one['parameters']:,} | "
            f"{100 * one['reachable']:.1f} % | {one['groups']} | {reasons or '–'} | "
            f"{one['inspect_seconds']:.2f} s |"
        )
    return "\n".join(lines)


def _score(score: dict[str, float]) -> str:
    counts = {"frames", "lines", "files"}
    return ", ".join(f"{name} {value:.3f}" for name, value in score.items() if name not in counts)


def _told(row: dict[str, Any]) -> str:
    return f", {row['told']}" if "told" in row else ""


def scores_table(results: dict[str, Any]) -> str:
    """What pruned files are worth, in Markdown."""
    lines = [
        "| file | kept | parameters | bytes | prune | on real inputs |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for one in results["files"]:
        rows = [row for row in results["rows"] if row["file"] == one["file"]]
        if one["score"] is not None:
            lines.append(
                f"| {one['file']} | whole | {one['parameters']:,} | {one['bytes']:,} | | "
                f"{_score(one['score'])} |"
            )
        lines += [
            f"| | {row['keep']:g}{_told(row)} | {row['parameters']:,} | {row['bytes']:,} | "
            f"{row['prune_seconds']:.0f} s | {_score(row['score'])} |"
            for row in rows
        ]
    return "\n".join(lines)


def table(results: dict[str, Any]) -> str:
    """Both tables, and whether everything that had to be kept was."""
    missing = [
        f"{row['file']} at {row['keep']:g}: {what}"
        for row in results["rows"]
        for what, holds in row["kept"].items()
        if not holds
    ]
    lines = [
        files_table(results),
        "",
        scores_table(results),
        "",
        "Seconds of one core. Each pruned file passes `onnx.checker` with shape inference, runs in "
        "ONNX Runtime and has the original's inputs, outputs, opset and metadata"
        + (f", but for {'; '.join(missing)}." if missing else "."),
        "",
        f"coreprune {results['coreprune']}, torch {results['torch']}.",
    ]
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """The first score of every file by the share of parameters that is left."""
    drawing, axes = figure.one_panel()
    for one, marker in zip(results["files"], "ovs^Dx", strict=False):
        rows = [row for row in results["rows"] if row["file"] == one["file"] and "told" not in row]
        if rows:
            name = _main(one["score"])
            shares = [row["parameters"] / one["parameters"] for row in rows]
            values = [row["score"][name] for row in rows]
            axes.plot(
                [1, *shares],
                [one["score"][name], *values],
                f"-{marker}",
                label=f"{one['file']}: {name}",
            )
    axes.set_xlabel("parameters left")
    axes.set_ylim(0, 1.05)
    axes.legend(fontsize="small")
    figure.save(drawing, path)


def _main(score: dict[str, float]) -> str:
    """The score that a figure shows."""
    return next(name for name in ("decided alike", "right", "photograph") if name in score)


PAGES = {Path(__file__).parents[2] / "docs" / "onnx.md": files_table}
"""Pages of the documentation with a part of these results."""
