"""Prune folders of several depths, each in a process of its own, and compare with the claim."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coreprune.shells.hf_folder.memory import block_need
from experiments.llama_shaped.folder import Shape, write_folder
from experiments.provenance import provenance

GIB = 2**30
_SPREAD = 0.05  # peaks that differ by less count as equal
_ROOT = Path(__file__).parents[2]


def run(*, hidden: int, neurons: int, depths: Sequence[int]) -> dict[str, Any]:
    """Measure every depth.

    Args:
        hidden: d.
        neurons: n.
        depths: How many layers the folders have.

    Returns:
        The sizes, what the peak must stay below, and one row a depth.
    """
    started = time.process_time()
    layer = 3 * hidden * neurons
    moments = 3 * 8 * neurons**2
    rows = [_row(Shape(hidden=hidden, neurons=neurons, layers=depth)) for depth in depths]
    return {
        **provenance(seeds=(0,), started=started, data="random weights in bfloat16"),
        "hidden": hidden,
        "neurons": neurons,
        "keep": 0.5,
        "limit_bytes": 4 * layer + moments + GIB,
        "estimated_bytes": block_need(neurons=neurons, width=hidden, layers=3),
        "moments_bytes": moments,
        "rows": rows,
    }


def _row(shape: Shape) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="llama-shaped-"))
    try:
        write_folder(folder / "big", shape)
        command = [sys.executable, "-m", "experiments.llama_shaped.measured"]
        done = subprocess.run(
            [*command, folder / "big", folder / "small"],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        shutil.rmtree(folder)
    return {"layers": shape.layers, **json.loads(done.stdout)}


def table(results: dict[str, Any]) -> str:
    """The rows with what they must stay below.

    Args:
        results: From `run`.

    Returns:
        Markdown.
    """
    limit, rows = results["limit_bytes"], results["rows"]
    peaks = [row["peak_bytes"] for row in rows]
    lines = [
        f"d = {results['hidden']:,}, n = {results['neurons']:,}, half of the neurons kept, "
        f"{results['threads']} thread. Claimed: a peak of at most {limit / GIB:.2f} GiB, one layer "
        f"in float32, three n × n matrices in float64 ({results['moments_bytes'] / GIB:.2f} GiB) "
        f"and one GiB; what a scheduler is told is {results['estimated_bytes'] / GIB:.2f} GiB.",
        "",
        "| layers | peak memory | within the claim | processor minutes a layer | minutes a layer |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['layers']} | {row['peak_bytes'] / GIB:.2f} GiB "
        f"| {'yes' if row['peak_bytes'] <= limit else 'no'} "
        f"| {row['processor_seconds'] / 60 / row['layers']:.1f} "
        f"| {row['seconds'] / 60 / row['layers']:.1f} |"
        for row in rows
    ]
    if len(rows) > 1:
        spread = max(peaks) / min(peaks) - 1
        verdict = "yes" if spread <= _SPREAD else "no"
        lines += ["", f"Equal at every depth: {verdict}, peaks differ by {spread:.1%}."]
    return "\n".join(lines)
