"""Data-free distillation: the pruned network learns from the original on drawn queries."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError
from coreprune.progress import Progress, silent
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.lower import tensors_of
from coreprune.shells.torch_module.modules import unwrapped, with_tensors
from coreprune.training.acceleration import accelerator_or_default, student_of, teacher_of
from coreprune.training.batches import Batch, batches_of, called, fingerprint
from coreprune.training.loop import Task, Training, check_settings, train
from coreprune.training.losses import floating_leaves, scales_of, squared_difference
from coreprune.training.randomness import repeatable

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair(Training):
    """How to repair: the limits of `Training`, of which one must be given, and what is held back.

    Attributes:
        held_back: Batches of queries that are never trained on and choose the best weights.

    Example:
        >>> Repair(seconds=60).learning_rate
        0.003
    """

    held_back: int = 4

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        if not isinstance(self.held_back, int) or self.held_back < 1:
            raise ArgumentError(
                f"held_back must be a whole number of at least 1, got {self.held_back!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repaired:
    """A repaired network and how far it is from the original on the held-back queries.

    Attributes:
        model: Of the pruned network's class and shapes.
        steps: Steps done.
        best_step: The step whose weights these are; 0: none was better than the pruned network's.
        seconds: Time they took, earlier runs that were resumed included.
        loss_before: Mean squared difference of the outputs over their variance, before.
        loss_after: The same of `model`.
        stopped: Why repair ended, in words.
    """

    model: nn.Module
    steps: int
    best_step: int
    seconds: float
    loss_before: float
    loss_after: float
    stopped: str


def repair(
    original: nn.Module,
    pruned: nn.Module,
    queries: Iterable[Any],
    *,
    settings: Repair,
    progress: Progress | None = None,
    accelerator: "Accelerator | None" = None,
) -> Repaired:
    """Train the pruned network to give the original's outputs on queries, without data.

    Minimises E‖pruned(x) − original(x)‖² / Var original(x) over the queries' law by Adam on a
    cosine. Both networks are in evaluation mode, so the statistics of batch normalisations stay
    frozen and nothing is dropped out. The result is the weights with the least loss on the first
    queries, which are held back; Ctrl-C ends repair early and keeps the best weights so far.

    Args:
        original: The teacher; it is not touched.
        pruned: The student, with the original's outputs; it is not touched. Its floating-point
            parameters that require gradients are trained, or all when none does.
        queries: Batches of inputs as in `finetune`, gone through once; labels are not looked at. To
            resume, their order must be fixed by a seed: they are drawn again from the first.
        settings: Limits, rate and the directory to resume from.
        progress: Called as (what, steps or seconds done, of).
        accelerator: Device and precision; by default as Accelerate is configured.

    Returns:
        The repaired network on the CPU or where the pruned one is, with its losses.

    Raises:
        ArgumentError: When an argument breaks its rule or Accelerate is not installed.
        FileFormatError: When the directory holds a damaged state.

    Example:
        >>> net, small = (nn.Linear(4, 2) for _ in range(2))
        >>> draw = torch.Generator().manual_seed(0)
        >>> queries = (torch.randn(64, 4, generator=draw) for _ in range(300))
        >>> result = repair(net, small, queries, settings=Repair(steps=200, learning_rate=0.1))
        >>> result.loss_after < 1e-3 * result.loss_before
        True

    References:
        Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network".
    """
    check_settings(settings, Repair)
    accelerator = accelerator_or_default(accelerator)
    device = accelerator.device
    teacher, student = teacher_of(original, device), student_of(pruned, device)
    batches = batches_of(queries, device, argument="queries")
    held_back = list(islice(batches, settings.held_back))
    if len(held_back) < settings.held_back:
        raise ArgumentError(
            f"queries must have more than held_back={settings.held_back} batches, "
            f"got {len(held_back)}; draw more"
        )
    with repeatable(0, device):
        loss = _loss(teacher, student, held_back)
    trained = train(
        Task(
            student=student,
            batches=batches,
            loss=loss,
            held_back=held_back,
            words="repairing",
            identity={
                "original": tensors_hash(tensors_of(unwrapped(original))),
                "pruned": tensors_hash(tensors_of(unwrapped(pruned))),
                "queries": fingerprint(held_back),
            },
        ),
        settings=settings,
        accelerator=accelerator,
        tell=progress or silent,
    )
    standing = trained.standing
    return Repaired(
        model=with_tensors(unwrapped(pruned), trained.best),
        steps=standing.step,
        best_step=standing.best_step,
        seconds=standing.seconds,
        loss_before=_known(standing.loss_before),
        loss_after=_known(standing.best_loss),
        stopped=trained.stopped,
    )


def _loss(
    teacher: nn.Module, student: nn.Module, held_back: Sequence[Batch]
) -> Callable[[Batch], Tensor]:
    """The squared difference of the outputs in units of their variance on what is held back."""

    @torch.no_grad()
    def wanted(batch: Batch) -> list[Tensor]:
        return floating_leaves(called(teacher, batch.call))

    scales = scales_of([wanted(batch) for batch in held_back])

    def loss(batch: Batch) -> Tensor:
        given = floating_leaves(called(student, batch.call))
        return squared_difference(given, wanted(batch), scales=scales)

    return loss


def _known(loss: float | None) -> float:
    """A held-back loss; it is None only where nothing is held back."""
    return math.nan if loss is None else loss
