"""Certificates of random coresets against sampled and attacked queries."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from coreprune.core import activations as family
from coreprune.core import query_set
from coreprune.core.attack import Ascent, attack
from coreprune.core.certificate import refinements
from coreprune.core.coreset import METHODS, layer_coreset
from coreprune.core.elementwise import Activation
from coreprune.core.neuron_sums import NeuronSums, coreset_difference, evaluate
from coreprune.core.query_set import QuerySet, ball, box, ellipsoid, queries
from experiments import figure
from experiments.progress import progress
from experiments.provenance import provenance

ACTIVATIONS: tuple[Activation, ...] = (
    family.relu(),
    family.leaky_relu(-0.3),
    family.prelu(torch.linspace(-1.5, 2.5, 24)),
    family.relu6(),
    family.hardtanh(-3.0, 0.5),
    family.softplus(),
    family.sigmoid(),
    family.tanh(),
    family.gelu(),
    family.gelu("tanh"),
    family.silu(),
    family.hardswish(),
    family.hardsigmoid(),
    family.elu(),
    family.celu(3.0),
    family.selu(),
    family.step(),
)
SPACES = ("ball", "moved ball", "ellipsoid", "box")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the random layers; each gives one coreset for every activation and space.
        samples: Queries drawn for each.
        neurons: n.
        dimensions: d, in turn.
        steps: Of each ascent.
    """

    seeds: tuple[int, ...]
    samples: int
    neurons: int
    dimensions: tuple[int, ...]
    steps: int


FULL = Plan(seeds=tuple(range(20)), samples=1000, neurons=24, dimensions=(2, 5, 12, 40), steps=60)
QUICK = Plan(seeds=(0,), samples=200, neurons=24, dimensions=(5,), steps=20)


def run(*, quick: bool) -> dict[str, Any]:
    """Certify and attack a coreset for every seed, activation and space.

    Args:
        quick: One seed, few queries.

    Returns:
        Counts and the largest ratios by activation and by space.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    records = []
    for seed in progress(plan.seeds, "layers"):
        for number, activation in enumerate(ACTIVATIONS):
            generator = Generator().manual_seed(1000 * seed + number)
            records += [
                {"activation": activation.name, "space": kind, "seed": seed}
                | _measure(activation, kind, plan=plan, seed=seed, generator=generator)
                for kind in SPACES
            ]
    return {
        "choices": asdict(plan),
        "pairs": sum(record["pairs"] for record in records),
        "violations": sum(record["violations"] for record in records),
        "violations at 0.9": sum(record["violations at 0.9"] for record in records),
        "runs": records,
        **provenance(seeds=plan.seeds, started=started, data="random layers"),
    }


def _measure(
    activation: Activation, kind: str, *, plan: Plan, seed: int, generator: Generator
) -> dict[str, Any]:
    d = plan.dimensions[seed % len(plan.dimensions)]
    sums = _coreset(activation, d=d, n=plan.neurons, seed=seed, generator=generator)
    space = _space(kind, d=d, size=0.3 * 3.0 ** (seed // 4 % 4), generator=generator)
    v = query_set.draw(space, plan.samples, generator=generator)
    v *= torch.rand(plan.samples, 1, dtype=torch.float64, generator=generator) ** (1 / d)
    values = evaluate(sums, queries(space, v)).abs().amax(0)
    ascent = Ascent(restarts=6, steps=plan.steps)
    peaks = torch.maximum(values, attack(sums, space, ascent=ascent, generator=generator).values)
    stages = [found.bound for found in refinements(sums, space, passes=(25, 100))]
    bounds = torch.stack(stages)
    ends = 2 * len(peaks) * ascent.restarts
    return {
        "pairs": plan.samples + ends,
        "violations": int((peaks > bounds).sum()),
        "violations at 0.9": int((peaks > 0.9 * bounds[-1]).sum()),
        "ratio": _largest_ratio(peaks, bounds[-1]),
        "median": float((peaks / bounds[-1]).median()),
    }


def _largest_ratio(peaks: Tensor, bound: Tensor) -> float:
    ratio = float((peaks / bound).amax())
    return ratio if math.isfinite(ratio) else 0.0


def _coreset(
    activation: Activation, *, d: int, n: int, seed: int, generator: Generator
) -> NeuronSums:
    points = torch.randn(n, d, generator=generator) / d**0.5
    points[n // 2 :] = points[: n - n // 2] + 0.3 * points[n // 2 :]
    weights = torch.randn(3, n, generator=generator)
    bias = (seed % 3) * torch.randn(n, generator=generator)
    method = METHODS[seed % len(METHODS)]
    subset = layer_coreset(
        points,
        weights,
        num_neurons=n // 2 + seed % 6,
        activation=activation,
        query_radius=2.0,
        bias=bias,
        method=method,
        generator=generator,
    )
    return coreset_difference(points, weights, subset, activation=activation, bias=bias)


def _space(kind: str, *, d: int, size: float, generator: Generator) -> QuerySet:
    centre = torch.randn(d, dtype=torch.float64, generator=generator)
    match kind:
        case "ball":
            return ball(size, dimension=d)
        case "moved ball":
            return ball(size, centre=centre)
        case "ellipsoid":
            axes = size * torch.randn(d, d, dtype=torch.float64, generator=generator) / d**0.5
            return ellipsoid(axes, centre=centre)
    return box(centre - size / d**0.5, centre + size / d**0.5)


def table(results: dict[str, Any]) -> str:
    """The largest value over certificate by activation and space."""
    lines = ["| activation | " + " | ".join(SPACES) + " |", "|---|" + "---|" * len(SPACES)]
    for name in dict.fromkeys(record["activation"] for record in results["runs"]):
        cells = []
        for kind in SPACES:
            own = [r for r in results["runs"] if r["activation"] == name and r["space"] == kind]
            median = sum(record["median"] for record in own) / len(own)
            cells.append(f"{median:.2f}, {max(record['ratio'] for record in own):.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([
        *lines,
        "",
        f"**{results['violations']} violations in {results['pairs']:,} pairs** of a network and a "
        f"query. With the certificates scaled by 0.9: {results['violations at 0.9']}. Cells: the "
        "largest value found over the certificate, median over sums and mean over layers, and the "
        "largest of all.",
        f"{len(results['runs'])} coresets of layers of {results['choices']['neurons']} neurons; "
        f"coreprune {results['coreprune']}, torch {results['torch']}, one thread; "
        f"{results['seconds']:.0f} s of processor time.",
    ])  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """How the largest ratio of each coreset is distributed."""
    drawing, axes = figure.one_panel()
    ratios = sorted(record["ratio"] for record in results["runs"])
    axes.plot(ratios, [(index + 1) / len(ratios) for index in range(len(ratios))])
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("largest value found / certificate")
    axes.set_ylabel("share of coresets")
    figure.save(drawing, path)
