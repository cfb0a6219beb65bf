"""The errors of all methods on the layers of one kind, and what they come to."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from coreprune.core.coreset import SAMPLERS
from experiments.coreset_trials import (
    Layer,
    Trial,
    coreset_trials,
    error_of_one_draw,
    largest_output,
    mean_and_deviation,
    neurons_of,
)
from experiments.one_neuron.truncated_svd import truncated_svd_error
from experiments.worst_query import Search

SVD = "truncated SVD"
DELTA = 0.05
SLOPE_SHARE = 0.2  # the largest share in a fitted slope: beyond it the layer is nearly whole


def measure(
    layers: Sequence[Layer], shares: Sequence[float], *, draws: range, search: Search
) -> dict[str, Any]:
    """The errors over layers and draws, as shares of t and of sup|f|.

    Args:
        layers: Of one kind.
        shares: Shares of neurons to keep.
        draws: Seeds; one coreset of every random method for each, of each layer.
        search: How hard to look for the worst query.

    Returns:
        The record of this kind: its shape, sup|f| / t, a row for each method and share, the slope
        of log error against log size for each method, and how the a-priori bound held.
    """
    totals = [float(layer.sensitivities().sum()) for layer in layers]
    peaks = [largest_output(layer, search=search, seed=0) for layer in layers]
    trials = [
        coreset_trials(layer, shares, seeds=draws, search=search)
        + _svd_trials(layer, shares, search=search)
        for layer in layers
    ]
    return {
        "n": layers[0].weights.shape[1],
        "d": layers[0].neurons.points.shape[1],
        "outputs": len(layers[0].weights),
        "layers": len(layers),
        "draws": len(draws),
        "largest_output_of_total": mean_and_deviation(
            [peak / total for peak, total in zip(peaks, totals, strict=True)]
        ),
        "rows": [
            _row(method, share, trials, totals=totals, peaks=peaks)
            for method in (*SAMPLERS, SVD)
            for share in shares
        ],
        "slopes": {method: _slope(method, trials) for method in SAMPLERS},
        "bound": _bound(layers, trials),
        "found_of_harder_search": _found_of_harder_search(layers[0], search),
    }


def _svd_trials(layer: Layer, shares: Sequence[float], *, search: Search) -> list[Trial]:
    trials = []
    for share in shares:
        m = neurons_of(share, layer)
        _, worst, mean = truncated_svd_error(layer, m, search=search, seed=0)
        trials.append(
            Trial(method=SVD, share=share, kept=m, num_draws=None, worst=worst, random_mean=mean)
        )
    return trials


def _row(
    method: str,
    share: float,
    trials: list[list[Trial]],
    *,
    totals: list[float],
    peaks: list[float],
) -> dict[str, Any]:
    chosen = [
        (trial, total, peak)
        for of_layer, total, peak in zip(trials, totals, peaks, strict=True)
        for trial in of_layer
        if (trial.method, trial.share) == (method, share)
    ]
    return {
        "method": method,
        "share": share,
        "trials": len(chosen),
        "kept": mean_and_deviation([trial.kept for trial, _, _ in chosen]),
        "worst_of_total": mean_and_deviation([trial.worst / total for trial, total, _ in chosen]),
        "worst_of_output": mean_and_deviation([trial.worst / peak for trial, _, peak in chosen]),
        "random_mean_of_total": mean_and_deviation(
            [trial.random_mean / total for trial, total, _ in chosen]
        ),
    }


def _slope(method: str, trials: list[list[Trial]]) -> dict[str, float]:
    """The slope of log worst error against log draws, or log neurons kept where none are drawn.

    One least-squares fit a layer.
    """
    slopes = []
    for of_layer in trials:
        chosen = [t for t in of_layer if t.method == method and t.share <= SLOPE_SHARE]
        points = torch.tensor(
            [[math.log(t.num_draws or t.kept), math.log(t.worst)] for t in chosen]
        ).double()
        x, y = (points - points.mean(0)).T
        slopes.append(float((x @ y) / (x @ x)))
    return mean_and_deviation(slopes)


def _bound(layers: Sequence[Layer], trials: list[list[Trial]]) -> dict[str, float]:
    """Over all importance coresets: the share beyond ε(m, δ), and the largest error / ε."""
    ratios = []
    for layer, of_layer in zip(layers, trials, strict=True):
        scale = error_of_one_draw(layer, delta=DELTA)
        ratios += [t.worst * math.sqrt(t.num_draws) / scale for t in of_layer if t.num_draws]
    return {
        "delta": DELTA,
        "trials": len(ratios),
        "exceeded": sum(ratio > 1 for ratio in ratios),
        "largest_ratio": max(ratios),
        "mean_ratio": math.fsum(ratios) / len(ratios),
    }


def _found_of_harder_search(layer: Layer, search: Search) -> float:
    """The mean error found over that of a search with four times the ascents, of thrice the steps.

    Over coresets of a tenth of the layer by all methods, three seeds each.
    """
    harder = Search(
        queries=2 * search.queries, restarts=4 * search.restarts, steps=3 * search.steps
    )
    easy, hard = (
        [t.worst for t in coreset_trials(layer, [0.1], seeds=range(3), search=s)]
        for s in (search, harder)
    )
    return math.fsum(easy) / math.fsum(hard)
