"""Training on the user's data: the original as teacher, labels, or both."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from coreprune.errors import ArgumentError
from coreprune.progress import Progress, silent
from coreprune.shells.calls import first_line
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.modules import unwrapped, with_tensors
from coreprune.shells.torch_module.tensors import tensors_of
from coreprune.training.acceleration import accelerator_or_default, student_of, teacher_of
from coreprune.training.batches import Batch, batches_of, called, epochs, fingerprint
from coreprune.training.loop import Task, Training, check_settings, is_positive, train
from coreprune.training.losses import (
    floating_leaves,
    scales_of,
    softened_divergence,
    squared_difference,
)
from coreprune.training.randomness import repeatable

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning(Training):
    """How to fine-tune: the limits of `Training`, of which one must be given, and the loss.

    Attributes:
        temperature: T of the distance to a teacher's logits, T² KL; None takes the squared
            difference of all outputs over their variance instead, which suits regression.
        label_share: With a teacher and labels, the weight of the labels' cross-entropy; the
            teacher's distance has the rest. Without labels or without a teacher it is not used.

    Example:
        >>> Finetuning(steps=1000, temperature=2.0).label_share
        0.5
    """

    temperature: float | None = 4.0
    label_share: float = 0.5

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        if self.temperature is not None and not is_positive(self.temperature):
            raise ArgumentError(
                f"temperature must be positive and finite, or None, got {self.temperature!r}"
            )
        if not isinstance(self.label_share, int | float) or not 0 <= self.label_share <= 1:
            raise ArgumentError(f"label_share must be in [0, 1], got {self.label_share!r}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finetuned:
    """A fine-tuned network.

    Attributes:
        model: Of the given network's class and shapes.
        steps: Steps done.
        best_step: The step whose weights these are; the last one where nothing was held back.
        seconds: Time they took, earlier runs that were resumed included.
        loss_before: The loss on the held-back batches before, None where there were none.
        loss_after: The same of `model`.
        stopped: Why training ended, in words.
    """

    model: nn.Module
    steps: int
    best_step: int
    seconds: float
    loss_before: float | None
    loss_after: float | None
    stopped: str


def finetune(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    model: nn.Module,
    data: Iterable[Any],
    *,
    settings: Finetuning,
    teacher: nn.Module | None = None,
    held_back: Iterable[Any] = (),
    progress: Progress | None = None,
    accelerator: "Accelerator | None" = None,
) -> Finetuned:
    """Train a pruned network on data, with the original as teacher, with labels, or with both.

    Minimises λ CE(labels) + (1 − λ) T² KL(teacher ‖ model) by Adam on a cosine; λ is `label_share`
    where there are both, else 0 or 1. The network is in evaluation mode, so the statistics of batch
    normalisations stay frozen and nothing is dropped out. Ctrl-C ends it early and keeps the best
    weights so far.

    Args:
        model: The pruned network; it is not touched. Its floating-point parameters that require
            gradients are trained, or all when none does.
        data: A DataLoader or another iterable, gone through again and again; an iterator is gone
            through once. It yields inputs, or (inputs, labels): inputs are a tensor, a tuple of
            positional arguments or a mapping of keyword arguments, labels what
            `torch.nn.functional.cross_entropy` takes. To resume, its order must be seeded.
        settings: Limits, rate, loss and the directory to resume from.
        teacher: The original network; it is not touched. None learns from labels alone.
        held_back: Batches, as `data` yields them, that are never trained on, choose the best
            weights and stop early; without them the last weights are the result.
        progress: Called as (what, steps or seconds done, of).
        accelerator: Device and precision; by default as Accelerate is configured.

    Returns:
        The trained network on the CPU or where the given one is, with its losses.

    Raises:
        ArgumentError: When an argument breaks its rule or Accelerate is not installed.
        FileFormatError: When the directory holds a damaged state.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> images = torch.randn(256, 4, generator=draw)
        >>> data = [(images, (images[:, 0] > 0).long())]
        >>> settings = Finetuning(steps=100, learning_rate=0.1)
        >>> result = finetune(nn.Linear(4, 2), data, settings=settings, held_back=data)
        >>> result.loss_after < result.loss_before
        True

    References:
        Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network".
    """
    check_settings(settings, Finetuning)
    accelerator = accelerator_or_default(accelerator)
    device = accelerator.device
    student = student_of(model, device)
    guide = None if teacher is None else teacher_of(teacher, device)
    batches = epochs(data, device, argument="data")
    first = next(batches, None)
    if first is None:
        raise ArgumentError("data must yield at least one batch, got none; pass a list or a loader")
    kept = list(batches_of(held_back, device, argument="held_back"))
    with repeatable(0, device):
        loss = _loss(student, guide, settings, first=first)
    trained = train(
        Task(
            student=student,
            batches=itertools.chain([first], batches),
            loss=loss,
            judged=loss,
            held_back=kept,
            words="fine-tuning",
            identity={
                "model": tensors_hash(tensors_of(unwrapped(model))),
                "teacher": None if guide is None else tensors_hash(tensors_of(guide)),
                "data": fingerprint([first, *kept]),
            },
        ),
        settings=settings,
        accelerator=accelerator,
        tell=progress or silent,
    )
    standing = trained.standing
    return Finetuned(
        model=with_tensors(unwrapped(model), trained.best),
        steps=standing.step,
        best_step=standing.best_step,
        seconds=standing.seconds,
        loss_before=standing.loss_before,
        loss_after=standing.best_loss,
        stopped=trained.stopped,
    )


def _loss(
    student: nn.Module, teacher: nn.Module | None, settings: Finetuning, *, first: Batch
) -> Callable[[Batch], Tensor]:
    """What is minimised, as the data's first batch shows it.

    Raises:
        ArgumentError: When there is neither a teacher nor a label.
    """
    distance = None if teacher is None else _distance(teacher, settings, first)
    if distance is None and first.labels is None:
        raise ArgumentError(
            "data must yield (inputs, labels) where there is no teacher; pass teacher=original"
        )

    def loss(batch: Batch) -> Tensor:
        output = called(student, batch.call)
        if batch.labels is None:
            if distance is None:
                raise ArgumentError("data must yield labels with every batch, got one without")
            return distance(output, batch)
        entropy = _cross_entropy(floating_leaves(output)[0], batch.labels)
        if distance is None:
            return entropy
        share = settings.label_share
        return share * entropy + (1 - share) * distance(output, batch)

    return loss


def _distance(
    teacher: nn.Module, settings: Finetuning, first: Batch
) -> Callable[[Any, Batch], Tensor]:
    """How far the student's output for a batch is from the teacher's."""

    @torch.no_grad()
    def wanted(batch: Batch) -> list[Tensor]:
        return floating_leaves(called(teacher, batch.call))

    scales = scales_of([wanted(first)])

    def distance(output: Any, batch: Batch) -> Tensor:  # noqa: ANN401
        given, its = floating_leaves(output), wanted(batch)
        if settings.temperature is None:
            return squared_difference(given, its, scales=scales)
        return softened_divergence(given[0], its[0], temperature=settings.temperature)

    return distance


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Torch's, which refuses labels that do not fit in several ways.

    Raises:
        ArgumentError: When shapes, type or classes do not fit.
    """
    try:
        return functional.cross_entropy(logits.float(), labels)
    except (RuntimeError, ValueError, IndexError) as reason:
        raise ArgumentError(
            f"labels must be what cross_entropy takes for logits of shape {tuple(logits.shape)}, "
            f"got {labels.dtype} of shape {tuple(labels.shape)} ({first_line(reason)}); "
            "pass classes as whole numbers of shape (n,)"
        ) from reason
