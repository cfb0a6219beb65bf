"""The table of contenders: all that makes a convolutional network narrower without data."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

import coreprune
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.repair import Repair
from experiments.convolutional import by_norm, by_torch_pruning
from experiments.convolutional.networks import Subject, widths_at
from experiments.convolutional.stopwatch import Stopwatch

OPTIMAL, REPAIRED = "optimal", "optimal, repaired"
MATCHING = "matching batch normalisations"
"""What the library says while it makes queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What the library may spend.

    Attributes:
        repair: How long.
        queries: The law; None for its default.
        kept: Where an unfinished repair, and the seconds spent, are kept; None keeps nothing.
    """

    repair: Repair
    queries: BatchNormMatched | None = None
    kept: Path | None = None


def _by_coreprune(
    subject: Subject,
    keep: float,
    effort: Effort,
    *,
    repair: Repair | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """As a user would call it, with one image of noise as the example.

    Raises:
        KeyboardInterrupt: When repair, which ends well on Ctrl-C, was interrupted.
    """
    kept = effort.kept
    watch = Stopwatch(MATCHING, None if kept is None else kept.with_suffix(".seconds.json"))
    result = coreprune.prune(
        subject.model,
        torch.randn(1, 3, 32, 32, generator=Generator().manual_seed(0)),
        keep=keep,
        queries=effort.queries,
        repair=None if repair is None else replace(repair, directory=kept),
        progress=watch,
    )
    record = result.repair
    if record is not None and record.stopped == "interrupted":
        raise KeyboardInterrupt
    return result.model, {
        "stages": watch.stop(),
        "law": result.law,
        "measured_error": result.measured_error,
        "output_spread": result.output_spread,
        "repair": None if record is None else asdict(record),
    }


def _by_repair(subject: Subject, keep: float, effort: Effort) -> tuple[nn.Module, dict[str, Any]]:
    return _by_coreprune(subject, keep, effort, repair=effort.repair)


def _by_norm(
    subject: Subject, keep: float, _: Effort, *, score: str
) -> tuple[nn.Module, dict[str, Any]]:
    widths = widths_at(keep, subject.model, subject.inner)
    return by_norm.prune(subject.model, subject.inner, widths, score=score), {}


def _by_torch_pruning(
    subject: Subject, keep: float, _: Effort, *, criterion: str
) -> tuple[nn.Module, dict[str, Any]]:
    widths = widths_at(keep, subject.model, subject.inner)
    small = by_torch_pruning.prune(subject.model, subject.inner, widths, criterion=criterion)
    return small, {}


CONTENDERS: dict[str, Callable[..., tuple[nn.Module, dict[str, Any]]]] = {
    "L1": partial(_by_norm, score="L1"),
    "BN scale": partial(_by_norm, score="BN scale"),
    "torch-pruning, L1": partial(_by_torch_pruning, criterion="L1"),
    "torch-pruning, BN scale": partial(_by_torch_pruning, criterion="BN scale"),
    OPTIMAL: _by_coreprune,
    REPAIRED: _by_repair,
}
"""The cheap ones first. Each gives a smaller network and what else to record."""
