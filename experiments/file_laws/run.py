"""Laws of images for an ONNX file that remembers nothing of its images."""

import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime import InferenceSession
from torch import Generator, nn

import coreprune
from coreprune.laws.calls import Law
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.samples import Samples
from experiments import figure
from experiments.cifar import IMAGENET, Pictures, train_pictures
from experiments.convolutional.networks import stand_in
from experiments.lenet import CACHE
from experiments.mnist import NoDataError
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.records import stored
from experiments.resnet_cifar import trained_resnet

FOLDER = CACHE / "file_laws"
PLANNED, JUDGED = 512, 4000
"""Training images that stand for data, the first ones, and those that judge, the last ones."""
KEPT = (0.75, 0.5)
LAWS = ("white noise", "impressions", "dead leaves", "real images")
BATCH = 500


def run(*, quick: bool) -> dict[str, Any]:
    """Prune the file under every law and count right answers on training images no law has seen.

    Args:
        quick: An untrained network and noise, one size, few queries.

    Returns:
        Accuracies in percent on held-out training images.

    Raises:
        NoDataError: When weights or images are missing and this is no quick run.
    """
    started, source = time.process_time(), "CIFAR-10, training images alone"
    try:
        model, pictures = trained_resnet(20), train_pictures(IMAGENET)
    except NoDataError:
        if not quick:
            raise
        subject = stand_in()
        model, pictures, source = subject.model, subject.pictures(), subject.source
    if quick:
        pictures = Pictures(images=pictures.images[:400], labels=pictures.labels[:400])
    judged = Pictures(images=pictures.images[-JUDGED:], labels=pictures.labels[-JUDGED:])
    laws = laws_of(pictures.images[: 40 if quick else PLANNED])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.onnx"
        export(model, path)
        jobs = [(law, keep) for keep in (KEPT[-1:] if quick else KEPT) for law in LAWS]
        rows = []
        for law, keep in progress(jobs, "laws"):
            measure = partial(_judged, path, laws[law], keep=keep, judged=judged)
            rows.append(stored(None if quick else FOLDER, {"law": law, "keep": keep}, measure))
        whole = accuracy(path, judged)
    return {
        "whole": round(100 * whole, 2),
        "judged": len(judged.labels),
        "rows": rows,
        **provenance(seeds=(0,), started=started, data=source),
    }


def laws_of(images: torch.Tensor) -> dict[str, Law]:
    """The laws by name.

    Args:
        images: Real ones, normalised. Shape (n, 3, 32, 32).

    Returns:
        Each plans for entries of the deviation that normalised images have.
    """
    return {
        "white noise": Gaussian(),
        "impressions": Impressions(),
        "dead leaves": DeadLeaves(),
        "real images": Samples(images),
    }


def export(model: nn.Module, path: Path) -> None:
    """Write a file as torch's exporter does, batch normalisations folded.

    Args:
        model: In evaluation mode; it reads images of 3 × 32 × 32.
        path: The file.

    Raises:
        ValueError: When a batch normalisation is left.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: the exporter that folds is the older one
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, 32, 32),),
            path,
            dynamo=False,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch"}},
        )
    left = [node.name for node in onnx.load(path).graph.node if "Normalization" in node.op_type]
    if left:
        raise ValueError(f"the exporter left {', '.join(left)}")


def accuracy(path: Path, pictures: Pictures) -> float:
    """The share of pictures that a file puts into their class, in [0, 1].

    Args:
        path: The file.
        pictures: At least one.

    Returns:
        The share.
    """
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = zip(pictures.images.split(BATCH), pictures.labels.split(BATCH), strict=True)
    right = 0
    for images, labels in parts:
        (scores,) = session.run(None, {"images": images.numpy()})
        right += int((torch.from_numpy(scores).argmax(1) == labels).sum())
    return right / len(pictures.labels)


def _judged(path: Path, law: Law, *, keep: float, judged: Pictures) -> dict[str, Any]:
    example = torch.randn(1, 3, 32, 32, generator=Generator().manual_seed(0))
    result = coreprune.prune(path, example, keep=keep, queries=law)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.onnx"
        result.save(small)
        return {"accuracy": round(100 * accuracy(small, judged), 2)}


def _cell(results: dict[str, Any], law: str, keep: float) -> str:
    rows = results["rows"]
    found = (row["accuracy"] for row in rows if (row["law"], row["keep"]) == (law, keep))
    value = next(found, None)
    return "–" if value is None else f"{value:.2f}"


def table(results: dict[str, Any]) -> str:
    """Accuracies by law and size."""
    sizes = [f"{100 * keep:.0f} % kept" for keep in KEPT]
    lines = [f"| law | {' | '.join(sizes)} |", "|---|" + "---|" * len(KEPT)]
    for law in LAWS:
        cells = " | ".join(_cell(results, law, keep) for keep in KEPT)
        lines.append(f"| {law} | {cells} |")
    lines += [
        "",
        f"Accuracy in percent on {results['judged']:,} training images that no law has seen; the "
        f"whole file has {results['whole']:.2f}. Data: {results['data']}. coreprune "
        f"{results['coreprune']}, torch {results['torch']}.",
    ]
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Accuracy under every law."""
    drawing, axes = figure.one_panel()
    for keep, marker in zip(KEPT, "ov", strict=True):
        rows = [row for row in results["rows"] if row["keep"] == keep]
        places = [LAWS.index(row["law"]) for row in rows]
        values = [row["accuracy"] for row in rows]
        axes.plot(places, values, marker, color="#0072B2", label=f"{100 * keep:.0f} % kept")
    axes.axhline(results["whole"], color="k", linewidth=0.8)
    axes.set_xticks(range(len(LAWS)), LAWS, fontsize="x-small")
    axes.set_ylim(0, 100)
    axes.set_ylabel("accuracy on training images, %")
    axes.legend(fontsize="small")
    figure.save(drawing, path)
