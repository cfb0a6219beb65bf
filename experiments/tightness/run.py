"""How far certificates are from what an attack reaches, on layers of trained networks."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from coreprune.core.activations import relu
from coreprune.core.attack import Ascent, attack
from coreprune.core.certificate import certificate
from coreprune.core.coreset import layer_coreset
from coreprune.core.neuron_sums import coreset_difference
from coreprune.core.query_set import ball
from experiments import figure, mnist
from experiments.lenet import Recipe, trained
from experiments.progress import progress
from experiments.provenance import provenance
from experiments.tightness.crown import crown


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the trained networks.
        shares: Of the neurons kept in each layer.
        effort: Seconds of refinement of each certificate.
        recipe: Of the trained networks.
    """

    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    effort: float
    recipe: Recipe


FULL = Plan(seeds=(0, 1, 2), shares=(0.2, 0.35, 0.5, 0.75), effort=30.0, recipe=Recipe())
QUICK = Plan(seeds=(0,), shares=(0.5,), effort=1.0, recipe=Recipe(epochs=1, peak_rate=0.1))


def run(*, quick: bool) -> dict[str, Any]:
    """Certify, attack and relax the coresets of both hidden layers.

    The radius is the mean norm of the training images for the first layer, and the mean norm of
    what they make of it for the second.

    Args:
        quick: One seed, small data.

    Returns:
        One record a network, layer and share.
    """
    started = time.process_time()
    plan = QUICK if quick else FULL
    digits = mnist.load(quick=quick)
    runs = []
    for seed in progress(plan.seeds, "networks"):
        model = trained(digits, seed=seed, recipe=plan.recipe).model
        images = digits.train_images[:5000].flatten(1)
        with torch.no_grad():
            inputs = {"fc1": images, "fc2": torch.relu(model.fc1(images))}
        for name, reader in (("fc1", "fc2"), ("fc2", "fc3")):
            layer, next_layer = model.get_submodule(name), model.get_submodule(reader)
            radius = float(inputs[name].norm(dim=1).mean())
            runs += [
                {"seed": seed, "layer": name, "share": share}
                | _measure(layer, next_layer, radius=radius, share=share, effort=plan.effort)
                for share in plan.shares
            ]
    return {
        "choices": asdict(plan),
        "runs": runs,
        **provenance(seeds=plan.seeds, started=started, data=digits.source),
    }


def _measure(
    layer: nn.Module, reader: nn.Module, *, radius: float, share: float, effort: float
) -> dict[str, Any]:
    points, bias = (p.detach() for p in (layer.weight, layer.bias))
    weights = reader.weight.detach()
    subset = layer_coreset(
        points,
        weights,
        num_neurons=round(share * len(points)),
        activation=relu(),
        query_radius=radius,
        bias=bias,
        generator=Generator().manual_seed(0),
    )
    sums = coreset_difference(points, weights, subset, activation=relu(), bias=bias)
    space = ball(radius, dimension=points.shape[1])
    reached = attack(
        sums, space, ascent=Ascent(restarts=16), generator=Generator().manual_seed(0)
    ).values
    bounds, seconds = {}, {}
    for name, limit in (("rows", 0.0), ("once", None), ("effort", effort)):
        before = time.perf_counter()
        bounds[name] = certificate(sums, space, effort=limit).bound
        seconds[name] = round(time.perf_counter() - before, 3)
    before = time.perf_counter()
    bounds["crown"] = crown(sums, radius=radius)
    seconds["crown"] = round(time.perf_counter() - before, 3)
    return {
        "radius": round(radius, 3),
        "attack": round(float(reached.max()), 4),
        "seconds": seconds,
        **{name: _ratios(bound, reached) for name, bound in bounds.items()},
        "crown / effort": _ratios(bounds["crown"], bounds["effort"]),
    }


def _ratios(bound: Tensor, reached: Tensor) -> dict[str, float]:
    ratio = bound / reached
    return {
        "median": round(float(ratio.median()), 3),
        "worst": round(float(ratio.max()), 3),
        "least": round(float(ratio.min()), 3),
    }


WAYS = ("rows", "once", "effort", "crown")


def table(results: dict[str, Any]) -> str:
    """Certificate over attack by layer and share: the median and the worst output neuron."""
    lines = [
        "| layer | kept | "
        + " | ".join(WAYS)
        + " | crown / effort | seconds: rows, once, effort |",
        "|---|---|" + "---|" * (len(WAYS) + 2),
    ]
    for layer in ("fc1", "fc2"):
        for share in results["choices"]["shares"]:
            entries = [e for e in results["runs"] if e["layer"] == layer and e["share"] == share]
            cells = [
                f"{_mean(entries, way, 'median'):.2f}, {max(e[way]['worst'] for e in entries):.2f}"
                for way in WAYS
            ]
            factor = min(e["crown / effort"]["least"] for e in entries)
            cells.append(f"{_mean(entries, 'crown / effort', 'median'):.1f}, {factor:.1f}")
            spent = [f"{max(e['seconds'][way] for e in entries):.1f}" for way in WAYS[:3]]
            lines.append(f"| {layer} | {share:.0%} | {' | '.join(cells)} | {', '.join(spent)} |")
    least = min(e[way]["least"] for e in results["runs"] for way in WAYS)
    return "\n".join([
        *lines,
        "",
        "Bound over attack: the median over output neurons, averaged over networks, and the worst "
        "of all. crown / effort: the median and the least factor between the two bounds of one "
        "neuron. "
        f"The least bound over attack of all is {least:.3f}. Networks: seeds "
        f"{', '.join(map(str, results['seeds']))}; seconds are the most of any.",
        f"Data: {results['data']}, training images for the radius alone. coreprune "
        f"{results['coreprune']}, torch {results['torch']}, one thread; {results['seconds']:.0f} s "
        "of processor time.",
    ])  # fmt: skip


def _mean(entries: list[dict[str, Any]], way: str, key: str) -> float:
    return sum(entry[way][key] for entry in entries) / len(entries)


def draw(results: dict[str, Any], path: Path) -> None:
    """The median ratio against the share kept, first layer."""
    drawing, axes = figure.one_panel()
    shares = results["choices"]["shares"]
    for way, marker in zip(WAYS, "osv^", strict=True):
        medians = [
            _mean(
                [e for e in results["runs"] if e["layer"] == "fc1" and e["share"] == share],
                way,
                "median",
            )
            for share in shares
        ]
        axes.plot(shares, medians, marker=marker, label=way)
    axes.set_yscale("log")
    axes.set_xlabel("share of neurons kept in fc1")
    axes.set_ylabel("bound / attack, median output neuron")
    axes.legend()
    figure.save(drawing, path)
