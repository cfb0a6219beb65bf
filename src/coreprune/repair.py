"""Data-free distillation: the pruned network learns from the original on drawn queries."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError
from coreprune.progress import Progress, silent
from coreprune.shells.torch_module.files import tensors_hash
from coreprune.shells.torch_module.modules import unwrapped, with_tensors
from coreprune.shells.torch_module.tensors import tensors_of
from coreprune.training.acceleration import accelerator_or_default, student_of, teacher_of
from coreprune.training.batches import Batch, batches_of, called, fingerprint
from coreprune.training.inner_outputs import Outputs, Rows, inner_layers
from coreprune.training.loop import Task, Training, check_settings, train
from coreprune.training.losses import Spread, floating_leaves, squared_difference
from coreprune.training.randomness import repeatable

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair(Training):
    """How to repair: the limits of `Training`, of which one must be given, and what is held back.

    Attributes:
        held_back: Batches of queries that are never trained on and choose the best weights.
        inner: What the outputs of convolutions inside the network count for beside its own, at
            least 0.

    Example:
        >>> Repair(seconds=60).learning_rate
        0.003
    """

    held_back: int = 4
    inner: float = 4.0

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        if not isinstance(self.held_back, int) or self.held_back < 1:
            raise ArgumentError(
                f"held_back must be a whole number of at least 1, got {self.held_back!r}; "
                "leave it out for 4"
            )
        if not isinstance(self.inner, int | float) or not 0 <= self.inner < math.inf:
            raise ArgumentError(
                f"inner must be finite and at least 0, got {self.inner!r}; pass 0 to leave it out"
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


def repair(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    original: nn.Module,
    pruned: nn.Module,
    queries: Iterable[Any],
    *,
    settings: Repair,
    kept: Rows | None = None,
    progress: Progress | None = None,
    accelerator: "Accelerator | None" = None,
) -> Repaired:
    """Train the pruned network to give the original's outputs on queries, without data.

    Minimises E‖pruned(x) − original(x)‖² / Var original(x) over the queries' law by Adam on a
    cosine, and beside it, λ times, the same of what each convolution gives that has as many
    channels as before, or of which `kept` tells those that are left: the mean over the
    convolutions, λ = `settings.inner`. Both networks are in evaluation mode, so the statistics of
    batch normalisations stay frozen and nothing is dropped out. The result is the weights whose
    outputs are nearest on the first queries, which are held back; Ctrl-C ends repair early and
    keeps the best weights so far.

    Args:
        original: The teacher; it is not touched.
        pruned: The student, with the original's outputs; it is not touched. Its floating-point
            parameters that require gradients are trained, or all when none does.
        queries: Batches of inputs as in `finetune`, gone through once; labels are not looked at. To
            resume, their order must be fixed by a seed: they are drawn again from the first.
        settings: Limits, rate and the directory to resume from.
        kept: By the name of the weight of a convolution that lost channels, those that are left.
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
    first = next(batches, None)
    if first is None:
        raise ArgumentError(
            f"queries must have more than held_back={settings.held_back} batches, "
            f"got {len(held_back)}; draw more"
        )
    pair = _Pair(teacher, student, inner_layers(teacher, student, kept or {}))
    with repeatable(0, device):
        scales = pair.scales(held_back)
    trained = train(
        Task(
            student=student,
            batches=chain([first], batches),
            loss=lambda batch: pair.loss(batch, scales, inner=settings.inner),
            judged=lambda batch: pair.loss(batch, scales, inner=0.0),
            held_back=held_back,
            words="repairing",
            identity={
                "original": tensors_hash(tensors_of(unwrapped(original))),
                "pruned": tensors_hash(tensors_of(unwrapped(pruned))),
                "queries": fingerprint(held_back),
                "kept": {name: list(rows) for name, rows in sorted((kept or {}).items())},
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scales:
    """The variances of the original's outputs, and of those of the layers inside it."""

    outputs: list[float]
    inner: list[float]


class _Pair:
    """A teacher, its student, and the layers whose outputs can be compared."""

    def __init__(
        self, teacher: nn.Module, student: nn.Module, layers: Mapping[str, Tensor | None]
    ) -> None:
        self.teacher, self.student = teacher, student
        self.wanted = Outputs(teacher, layers, restrict=True)
        self.given = Outputs(student, layers, restrict=False)

    @torch.no_grad()
    def _taught(self, batch: Batch) -> list[Tensor]:
        with self.wanted.watched():
            return floating_leaves(called(self.teacher, batch.call))

    def scales(self, held_back: Sequence[Batch]) -> _Scales:
        """The units of all squared errors."""
        outputs, inner = Spread(), Spread()
        for batch in held_back:
            outputs.add(self._taught(batch))
            inner.add(self.wanted.given)
        return _Scales(outputs=outputs.variances(), inner=inner.variances())

    def loss(self, batch: Batch, scales: _Scales, *, inner: float) -> Tensor:
        """That of the outputs, and of the layers inside as far as they count."""
        if not inner:
            with torch.no_grad():
                taught = floating_leaves(called(self.teacher, batch.call))
            given = floating_leaves(called(self.student, batch.call))
            return squared_difference(given, taught, scales=scales.outputs)
        taught = self._taught(batch)
        with self.given.watched():
            given = floating_leaves(called(self.student, batch.call))
        apart = squared_difference(given, taught, scales=scales.outputs)
        if not self.given.given:
            return apart
        within = squared_difference(self.given.given, self.wanted.given, scales=scales.inner)
        return apart + inner * within


def _known(loss: float | None) -> float:
    """A held-back loss; it is None only where nothing is held back."""
    return math.nan if loss is None else loss
