"""The pruned network repaired on queries of the law that it was cut for."""

from dataclasses import replace

from coreprune.cutting import Outcome, changed_by
from coreprune.graph.cut import entries_left
from coreprune.graph.ir import Parameters
from coreprune.laws.lessons import lessons
from coreprune.measured_error import OutputChange
from coreprune.progress import Progress
from coreprune.prospect import Prospect
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.impressions import Impressions
from coreprune.records import RepairRecord
from coreprune.repair import Repair, Repaired, repair

REPAIRED = 256
"""Queries in a step of repair, where they are drawn."""


def repaired_of(
    prospect: Prospect, outcome: Outcome, *, settings: Repair, tell: Progress
) -> Repaired:
    """The pruned network, taught by the original on queries that chose nothing, if there are any.

    Samples are all there are, and matched queries are dear to make: these are seen again.

    Args:
        prospect: What is known of the model.
        outcome: Its cuts.
        settings: Limits and rate.
        tell: Called as (what, done, of).

    Returns:
        The repaired network.
    """
    subject, law, seed = prospect.subject, prospect.moments.law, prospect.moments.seed + 2
    if isinstance(law, BatchNormMatched):
        seed = prospect.moments.seed
    if isinstance(law, Impressions):  # in training its steps took most of the time for nothing
        law = replace(law, steps=0)
    held_back = settings.held_back
    return repair(
        subject.finished({}),
        subject.finished(changed_by(outcome, subject)),
        lessons(law, subject, seed=seed, held_back=held_back, most=REPAIRED),
        settings=settings,
        kept=_rows_left(outcome, subject.graph.parameters),
        progress=tell,
    )


def _rows_left(outcome: Outcome, original: Parameters) -> dict[str, list[int]]:
    """Which rows of the weights are left, by their names."""
    sizes = {(name, 0): len(tensor) for name, tensor in original.items() if tensor.ndim > 1}
    left = entries_left(outcome.cuts, sizes)
    return {name: rows.tolist() for (name, _), rows in left.items()}


def record_of(repaired: Repaired) -> RepairRecord:
    """What of a repaired network is written down."""
    return RepairRecord(
        steps=repaired.steps,
        best_step=repaired.best_step,
        seconds=repaired.seconds,
        loss_before=repaired.loss_before,
        loss_after=repaired.loss_after,
        stopped=repaired.stopped,
    )


def notes_on_repair(repaired: Repaired | None, settings: Repair | None) -> list[str]:
    """What to do where repair came to nothing."""
    if repaired is None or settings is None or repaired.best_step:
        return []
    return [
        f"repair found nothing better in {repaired.steps} steps ({repaired.stopped}), so the "
        "network is as it was cut; give it more time, or a lower rate than "
        f"learning_rate={settings.learning_rate:g}"
    ]


def notes_on_change(before: OutputChange | None, after: OutputChange | None) -> list[str]:
    """That a repaired network is further off on queries than the one that was cut."""
    if before is None or after is None or not after.error > before.error:
        return []
    return [
        "on queries of the law the outputs are further off since repair, by "
        f"{after.error:.3g} and not {before.error:.3g}: it learnt from others of them, mirrored, "
        "moved and mixed; judge both by inputs of your own, or repair for longer"
    ]
