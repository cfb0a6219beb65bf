"""Fine-tuning the dense part on what it reads; settings are chosen on held-back training images."""

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from coreprune.finetune import Finetuning, finetune
from coreprune.queries.batch_norm import BatchNormMatched
from experiments.lenet import error
from experiments.progress import progress
from experiments.records import place
from experiments.vgg_cifar import VGG
from experiments.vgg_dense.heads import WHOLE
from experiments.vgg_dense.shuffled import Shuffled


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        seeds: Of the orders of the images.
        rates: Peak rates to choose from.
        label_shares: What the labels may count for beside the original.
        epochs: Of fine-tuning.
        held_back: How many of the training images choose.
        batch_size: Images in a step.
        queries: The law; None for the library's default.
        train: How many training images; None for all.
        test: How many test images; None for all.
        folder: Where work is kept; None keeps none.
    """

    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    label_shares: tuple[float, ...]
    epochs: int
    held_back: int
    batch_size: int = 256
    queries: BatchNormMatched | None = None
    train: int | None = None
    test: int | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Of one fine-tuning.

    Attributes:
        rate: The peak rate.
        label_share: What the labels count for; 1 leaves the original out.
        seed: Of the order of the images.
    """

    rate: float
    label_share: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """The network and what its dense part reads.

    Attributes:
        model: The network.
        rows: Of the training images. Shape (n, channels).
        labels: Theirs. Shape (n,).
        source: Where they come from, in words.
        plan: What is run.
    """

    model: VGG
    rows: Tensor
    labels: Tensor
    source: str
    plan: Plan


def best_heads(name: str, head: nn.Sequential, work: Work) -> dict[str, Any]:
    """Fine-tune a dense part by every setting under the first seed, by the best under all.

    Args:
        name: Of the row.
        head: The dense part; it is not touched.
        work: What it learns from.

    Returns:
        The setting of least error on the held-back images, that error in percent as `held_back`,
        and as `heads` the tuned dense parts, one a seed.
    """
    plan = work.plan
    settings = list(_settings(name, plan))
    tries = [
        _tuned(name, head, work, setting=setting)
        for setting in progress(settings, f"fine-tuning {name}")
    ]
    errors = [held_back for _, held_back in tries]
    first = errors.index(min(errors))
    chosen = settings[first]
    others = [
        _tuned(name, head, work, setting=replace(chosen, seed=seed)) for seed in plan.seeds[1:]
    ]
    return {
        **asdict(chosen),
        "held_back": round(errors[first], 3),
        "heads": [tries[first][0], *(one for one, _ in others)],
    }


def _settings(name: str, plan: Plan) -> Iterator[Setting]:
    """The original would be its own teacher, who says nothing new: labels alone for it."""
    for rate in plan.rates:
        for share in (1.0,) if name == WHOLE else plan.label_shares:
            yield Setting(rate=rate, label_share=share, seed=plan.seeds[0])


def _tuned(
    name: str,
    head: nn.Sequential,
    work: Work,
    *,
    setting: Setting,
) -> tuple[nn.Module, float]:
    """A fine-tuned head, made now or as it was kept, and its error on the held-back images."""
    plan = work.plan
    key = {"name": name, **asdict(setting), "epochs": plan.epochs, "batch": plan.batch_size}
    path = None if plan.folder is None else place(plan.folder, key).with_suffix(".safetensors")
    if path is not None and path.exists():
        tuned = copy.deepcopy(head)
        load_model(tuned, path)
    else:
        tuned = _finetuned(head, work, setting=setting)
        _keep(tuned, path)
    last = len(work.rows) - plan.held_back
    return tuned, error(tuned, work.rows[last:], work.labels[last:])


def _keep(head: nn.Module, path: Path | None) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    save_model(head, unfinished)
    unfinished.replace(path)


def _finetuned(head: nn.Sequential, work: Work, *, setting: Setting) -> nn.Module:
    """As the library does it, the weights of least loss on the held-back images.

    Raises:
        KeyboardInterrupt: When fine-tuning, which ends well on Ctrl-C, was interrupted.
    """
    plan = work.plan
    last = len(work.rows) - plan.held_back
    loader = Shuffled(
        work.rows[:last], work.labels[:last], batch_size=plan.batch_size, seed=setting.seed
    )
    result = finetune(
        head,
        loader,
        teacher=work.model.classifier if setting.label_share < 1 else None,
        settings=Finetuning(
            steps=plan.epochs * len(loader),
            learning_rate=setting.rate,
            label_share=setting.label_share,
            check_every=len(loader),
        ),
        held_back=[(work.rows[last:], work.labels[last:])],
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    return result.model
