"""The one training loop: Adam on a cosine, held-back batches that stop it, a state to resume."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError
from coreprune.progress import Progress
from coreprune.training.randomness import repeatable
from coreprune.training.state import (
    Standing,
    State,
    Tensors,
    check_directory,
    read_state,
    write_state,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

WARM_UP = 50
"""Steps in which the rate rises to its peak: Adam's first moments are those of a few batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long and how fast to train.

    Attributes:
        steps: The most steps; the rate falls with the share of them that is done.
        seconds: The most time; the rate falls with the share of it that is over, so that the
            result depends on the machine. At least one of the two limits must be given.
        learning_rate: The peak of the rate.
        check_every: Steps between two looks at the held-back batches.
        patience: Looks without a better loss after which training stops.
        directory: Where the state is written at every look, and resumed from when it is there.
    """

    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 3e-3
    check_every: int = 100
    patience: int = 20
    directory: str | Path | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise ArgumentError("steps or seconds must be given, got neither; pass steps=5000")
        for name in ("steps", "check_every", "patience"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ArgumentError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("seconds", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not is_positive(value):
                raise ArgumentError(f"{name} must be positive and finite, got {value!r}")
        if not isinstance(self.directory, str | Path | None):
            raise ArgumentError(f"directory must be a path, got {self.directory!r}")


def is_positive(value: object) -> bool:
    """Whether a setting is a positive, finite number."""
    return isinstance(value, int | float) and 0 < value < math.inf


def check_settings(settings: object, kind: type[Training]) -> None:
    """Refuse what are no settings of the kind that is asked for.

    Raises:
        ArgumentError: Naming the kind and the way out.
    """
    if not isinstance(settings, kind):
        name = kind.__name__
        raise ArgumentError(
            f"settings must be coreprune.{name}(...), got {type(settings).__name__}; "
            f"pass {name}(steps=5000)"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What is trained on what.

    Attributes:
        student: The module whose parameters change; its buffers do not.
        batches: What each step sees, from the first step on.
        loss: What is minimised: the mean loss of a batch under the student as it is.
        judged: What held-back batches are judged by, likewise.
        held_back: Batches that are only looked at; with none the last weights count as the best.
        words: What is being done, for progress.
        identity: What resuming insists on, beside the settings.
    """

    student: nn.Module
    batches: Iterator[Any]
    loss: Callable[[Any], Tensor]
    judged: Callable[[Any], Tensor]
    held_back: Sequence[Any]
    words: str
    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What a training came to.

    Attributes:
        best: The best weights by name.
        standing: The numbers at its end.
        stopped: Why it ended, in words.
    """

    best: Tensors
    standing: Standing
    stopped: str


def train(task: Task, *, settings: Training, accelerator: "Accelerator", tell: Progress) -> Trained:
    """Train until a limit, until the held-back loss stalls, or until Ctrl-C.

    The rate at share s of the limit is η (1 + cos πs) / 2, after a linear warm-up. Every random
    choice inside the student comes from the number of the step; batches of steps that an earlier
    run has done are passed over. So a run that resumes takes the very steps of one that was never
    interrupted, except under a limit of time.

    Args:
        task: What is trained on what.
        settings: Limits, rate and directory.
        accelerator: Device and precision.
        tell: Called as (what, steps or seconds done, of).

    Returns:
        The best weights and why training ended.

    Raises:
        ArgumentError: When the student refuses a batch, or its first loss is not finite.
    """
    run = _Run(task, settings=settings, accelerator=accelerator)
    try:
        reason = run.finish(tell)
    except KeyboardInterrupt:
        reason = "interrupted"
    return Trained(best=run.state.best, standing=run.state.standing, stopped=reason)


class _Run:
    """A training under way; `state` is where it stood at the last look."""

    def __init__(self, task: Task, *, settings: Training, accelerator: "Accelerator") -> None:
        self.task, self.settings, self.accelerator = task, settings, accelerator
        self.named = {
            name: tensor for name, tensor in task.student.named_parameters() if tensor.requires_grad
        }
        optimizer = torch.optim.Adam(self.named.values(), lr=settings.learning_rate)
        self.optimizer = accelerator.prepare_optimizer(optimizer)
        self.directory = None if settings.directory is None else Path(settings.directory)
        trained = {"trained parameters": list(self.named)}
        self.identity = {**task.identity, **trained, **_plain(settings)}
        self.state = self._resumed() or self._begun()
        self.step = self.state.standing.step
        self.started = time.monotonic() - self.state.standing.seconds

    def finish(self, tell: Progress) -> str:
        """Take steps until there is a reason not to; the reason."""
        batches = itertools.islice(self.task.batches, self.step, None)
        while (reason := self._reason()) is None:
            self._tell(tell)
            batch = next(batches, None)
            if batch is None:
                reason = f"the batches ended after {self.step} steps"
                break
            if not self._take(batch):
                return (
                    f"the loss was not finite at step {self.step + 1}; lower learning_rate, "
                    f"{self.settings.learning_rate:g}"
                )
            if self.step % self.settings.check_every == 0:
                self._look()
        if self.step != self.state.standing.step:
            self._look()
        return reason

    def _reason(self) -> str | None:
        settings = self.settings
        if settings.steps is not None and self.step >= settings.steps:
            return f"{settings.steps} steps are done"
        if settings.seconds is not None and self._seconds() >= settings.seconds:
            return f"{settings.seconds:g} seconds are over"
        if self.task.held_back and self.state.standing.stale >= settings.patience:
            return f"no better for {settings.patience * settings.check_every} steps"
        return None

    def _take(self, batch: Any) -> bool:  # noqa: ANN401
        """One step, unless its loss is not finite."""
        rate = self.settings.learning_rate * (1 + math.cos(math.pi * self._share())) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self.step + 1) / WARM_UP)
        self.optimizer.zero_grad()
        loss = self._valued(self.task.loss, batch)
        if not math.isfinite(loss.item()):
            return False
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.step += 1
        return True

    def _valued(self, loss: Callable[[Any], Tensor], batch: Any) -> Tensor:  # noqa: ANN401
        with repeatable(self.step, self.accelerator.device), self.accelerator.autocast():
            return loss(batch)

    @torch.no_grad()
    def _held_back_loss(self) -> float | None:
        if not self.task.held_back:
            return None
        losses = [float(self._valued(self.task.judged, batch)) for batch in self.task.held_back]
        return sum(losses) / len(losses)

    def _look(self) -> None:
        """See how the held-back batches do, keep the best weights, write the state."""
        before, loss = self.state.standing, self._held_back_loss()
        weights = _detached(self.named)
        better = loss is None or before.best_loss is None or loss < before.best_loss
        standing = replace(
            before,
            step=self.step,
            seconds=self._seconds(),
            best_loss=loss if better else before.best_loss,
            best_step=self.step if better else before.best_step,
            stale=0 if better else before.stale + 1,
        )
        self._keep(
            State(
                standing=standing,
                weights=weights,
                best=weights if better else self.state.best,
                optimizer=_optimizer_tensors(self.optimizer),
            )
        )

    def _keep(self, state: State) -> None:
        self.state = state
        if self.directory is not None:
            write_state(state, self.directory, task=self.identity)

    def _begun(self) -> State:
        self.step = 0
        loss = self._held_back_loss()
        if loss is not None and not math.isfinite(loss):
            raise ArgumentError(
                f"the held-back batches have a loss of {loss} before the first step; "
                "pass inputs on which the model and its teacher are finite"
            )
        weights = _detached(self.named)
        standing = Standing(loss_before=loss, best_loss=loss)
        return State(standing=standing, weights=weights, best=weights)

    def _resumed(self) -> State | None:
        if self.directory is None:
            return None
        check_directory(self.directory)
        state = read_state(self.directory, task=self.identity)
        if state is None:
            return None
        for name, tensor in self.named.items():
            tensor.data.copy_(state.weights[name])
        _put_optimizer_tensors(self.optimizer, state.optimizer)
        return state

    def _seconds(self) -> float:
        return time.monotonic() - self.started

    def _share(self) -> float:
        """How much of the limit that is nearer is used up."""
        steps, seconds = self.settings.steps, self.settings.seconds
        done = self.step / steps if steps else 0.0
        return min(1.0, max(done, self._seconds() / seconds if seconds else 0.0))

    def _tell(self, tell: Progress) -> None:
        if self.settings.steps is not None:
            tell(self.task.words, self.step, self.settings.steps)
        elif self.settings.seconds is not None:
            tell(self.task.words, int(self._seconds()), math.ceil(self.settings.seconds))


def _detached(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named.items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": tensor.clone()
        for index, named in state.items()
        for name, tensor in named.items()
    }


def _put_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _plain(settings: Training) -> dict[str, Any]:
    """The settings as JSON values, without the place where they are kept."""
    names = [name for name in settings.__dataclass_fields__ if name != "directory"]
    return {name: getattr(settings, name) for name in names}
