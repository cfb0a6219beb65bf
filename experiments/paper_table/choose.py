"""The choices of the experiment, made on training images alone."""

import copy
import itertools
import operator
import statistics
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from coreprune.core.coreset import SAMPLERS
from experiments.cut import cut
from experiments.lenet import Recipe, error, fit, lenet
from experiments.mnist import Digits
from experiments.progress import progress

SEED = 1000  # none of the seeds that are reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What may be chosen, and the recipe that all candidates share.

    Attributes:
        widths: Neurons kept in fc1 and fc2; each leaves a margin below a tenth of the parameters
            for the random width of importance sampling.
        rates: Peak learning rates of the fine-tuning.
        held_out: How many of the last training images judge.
        recipe: Of the training and, but for the rate, of the fine-tuning.
    """

    widths: tuple[tuple[int, int], ...]
    rates: tuple[float, ...]
    held_out: int
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen and why.

    Attributes:
        widths: Neurons kept in fc1 and fc2, for every method.
        rate: Peak learning rate of the fine-tuning after pruning.
        control_rate: The same for the unpruned network.
        scratch_rate: The same for the small network that is trained twice as long from the start.
        held_out_errors: The errors that decided.
    """

    widths: tuple[int, int]
    rate: float
    control_rate: float
    scratch_rate: float
    held_out_errors: list[dict[str, Any]]


def choose(digits: Digits, candidates: Candidates) -> Choice:
    """The widths and rates of least error on held-out training images, in the mean over methods.

    Args:
        digits: Only the training images are used.
        candidates: What may be chosen.

    Returns:
        The choice, the same for all methods so that none is favoured.
    """
    split = len(digits.train_images) - candidates.held_out
    learn = digits.train_images[:split], digits.train_labels[:split]
    judge = digits.train_images[split:], digits.train_labels[split:]
    trained = fit(lenet(seed=SEED), *learn, recipe=candidates.recipe, seed=SEED)

    def tuned_error(start: nn.Sequential, rate: float, *, times: int = 1) -> float:
        epochs = times * candidates.recipe.epochs
        recipe = replace(candidates.recipe, peak_rate=rate, epochs=epochs)
        return error(fit(copy.deepcopy(start), *learn, recipe=recipe, seed=SEED), *judge)

    pruned = []
    for widths, rate in progress(
        list(itertools.product(candidates.widths, candidates.rates)), "choosing"
    ):
        errors = [
            tuned_error(cut(trained, widths, method=method, seed=SEED), rate) for method in SAMPLERS
        ]
        mean = round(statistics.mean(errors), 3)
        pruned.append({"widths": widths, "rate": rate, "error": mean})
    best = min(pruned, key=operator.itemgetter("error"))
    small = lenet(hidden=best["widths"], seed=SEED)
    unpruned, scratch = (
        [
            {
                "network": name,
                "rate": rate,
                "error": round(tuned_error(start, rate, times=times), 3),
            }
            for rate in candidates.rates
        ]
        for name, start, times in (("unpruned", trained, 1), ("small from the start", small, 2))
    )
    return Choice(
        widths=best["widths"],
        rate=best["rate"],
        control_rate=min(unpruned, key=operator.itemgetter("error"))["rate"],
        scratch_rate=min(scratch, key=operator.itemgetter("error"))["rate"],
        held_out_errors=pruned + unpruned + scratch,
    )
