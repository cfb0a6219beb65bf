"""Laws of images for networks with batch normalisations, and with these folded away."""

import copy
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import coreprune
from coreprune.laws.calls import Law
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.samples import Samples
from experiments import figure
from experiments.cifar import IMAGENET, Pictures, accuracy, train_pictures
from experiments.convolutional.networks import stand_in
from experiments.lenet import CACHE
from experiments.mnist import NoDataError
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.records import stored
from experiments.resnet_cifar import trained_resnet
from experiments.surroundings import query_cache, threads

THREADS = 2
FOLDER = CACHE / "image_laws"
PLANNED, JUDGED = 512, 4000
"""Training images that stand for data, the first ones, and those that judge, the last ones."""

FOLDED, WITH = "folded", "as trained"
KEPT = (0.75, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network, a law and what it is called.

    Attributes:
        network: `FOLDED` or `WITH` batch normalisations.
        law: The name of the law.
    """

    network: str
    law: str


CASES = (
    Case(network=FOLDED, law="white noise"),
    Case(network=FOLDED, law="dead leaves"),
    Case(network=FOLDED, law="real images"),
    Case(network=WITH, law="white noise"),
    Case(network=WITH, law="dead leaves"),
    Case(network=WITH, law="matched"),
    Case(network=WITH, law="real images"),
)


def run(*, quick: bool) -> dict[str, Any]:
    """Prune under every law and count right answers on training images that no law has seen.

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
    networks = {FOLDED: folded(model), WITH: model}
    laws = laws_of(pictures.images[: 40 if quick else PLANNED], quick=quick)
    folder = None if quick else FOLDER
    with threads(THREADS), query_cache(None if quick else CACHE):
        jobs = [(case, keep) for case in CASES for keep in (KEPT[-1:] if quick else KEPT)]
        rows = []
        for case, keep in progress(jobs, "laws"):
            key = {"network": case.network, "law": case.law, "keep": keep}
            measure = partial(
                _judged, networks[case.network], laws[case.law], keep=keep, judged=judged
            )
            rows.append(stored(folder, key, measure))
    return {
        "whole": round(100 * accuracy(model, judged), 2),
        "judged": len(judged.labels),
        "rows": rows,
        **provenance(seeds=(0,), started=started, data=source),
    }


def laws_of(images: torch.Tensor, *, quick: bool) -> dict[str, Law]:
    """The laws by name.

    Args:
        images: Real ones, normalised. Shape (n, 3, 32, 32).
        quick: Whether little is made.

    Returns:
        Each plans for entries of the deviation that normalised images have.
    """
    matched = BatchNormMatched(examples=40, batch=20, steps=2) if quick else BatchNormMatched()
    return {
        "white noise": Gaussian(),
        "dead leaves": DeadLeaves(),
        "matched": matched,
        "real images": Samples(images),
    }


def folded(model: nn.Module) -> nn.Module:
    """The same function without batch normalisations: each is folded into the convolution before.

    Args:
        model: A residual network, whose convN is followed by bnN.

    Returns:
        A copy.
    """
    clone = copy.deepcopy(model).eval()
    for name, norm in list(clone.named_modules()):
        if isinstance(norm, nn.BatchNorm2d):
            path, _, leaf = name.rpartition(".")
            parent, before = clone.get_submodule(path), leaf.replace("bn", "conv")
            setattr(parent, before, fuse_conv_bn_eval(getattr(parent, before), norm))
            setattr(parent, leaf, nn.Identity())
    return clone


def _judged(model: nn.Module, law: Law, *, keep: float, judged: Pictures) -> dict[str, Any]:
    example = torch.randn(1, 3, 32, 32, generator=Generator().manual_seed(0))
    small = coreprune.prune(model, example, keep=keep, queries=law).model
    return {"accuracy": round(100 * accuracy(small, judged), 2)}


def _cell(results: dict[str, Any], case: Case, keep: float) -> str:
    found = (
        row["accuracy"]
        for row in results["rows"]
        if (row["network"], row["law"], row["keep"]) == (case.network, case.law, keep)
    )
    value = next(found, None)
    return "–" if value is None else f"{value:.2f}"


def table(results: dict[str, Any]) -> str:
    """Accuracies by network, law and size."""
    sizes = [f"{100 * keep:.0f} % kept" for keep in KEPT]
    lines = [
        f"| batch normalisations | law | {' | '.join(sizes)} |",
        "|---|---|" + "---|" * len(KEPT),
    ]
    for case in CASES:
        cells = " | ".join(_cell(results, case, keep) for keep in KEPT)
        lines.append(f"| {case.network} | {case.law} | {cells} |")
    lines += [
        "",
        f"Accuracy in percent on {results['judged']:,} training images that no law has seen; the "
        f"whole network has {results['whole']:.2f}. Data: {results['data']}. coreprune "
        f"{results['coreprune']}, torch {results['torch']}.",
    ]
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Accuracy under every law."""
    drawing, axes = figure.one_panel()
    names = [f"{case.law}\n{case.network}" for case in CASES]
    for keep, marker in zip(KEPT, "ov", strict=True):
        rows = [row for row in results["rows"] if row["keep"] == keep]
        places = [CASES.index(Case(network=r["network"], law=r["law"])) for r in rows]
        values = [row["accuracy"] for row in rows]
        axes.plot(places, values, marker, color="#0072B2", label=f"{100 * keep:.0f} % kept")
    axes.axhline(results["whole"], color="k", linewidth=0.8)
    axes.set_xticks(range(len(CASES)), names, fontsize="x-small")
    axes.set_ylim(0, 100)
    axes.set_ylabel("accuracy on training images, %")
    axes.legend(fontsize="small")
    figure.save(drawing, path)
