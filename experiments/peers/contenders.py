"""The table of contenders: everything that can make LeNet-300-100 narrower without data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import nn

import coreprune
from coreprune.core.coreset import Method
from experiments.peers import by_onnxsim, by_torch_pruning, onnx_files

Widths = tuple[int, int]


def _same(model: nn.Sequential) -> nn.Sequential:
    return model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """One way to prune.

    Attributes:
        library: Whose it is.
        prune: Takes what `prepare` made, the widths and a seed; this alone is timed.
        prepare: What the library is handed: the network itself, or its ONNX file.
        network: The result as a network in torch.
    """

    library: str
    prune: Callable[[Any, Widths, int], Any]
    prepare: Callable[[nn.Sequential], Any] = _same
    network: Callable[[Any], nn.Sequential] = _same


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What contenders may spend that have no size of their own to stop at.

    Attributes:
        rows: Random inputs that onnxsim fits weights to.
        steps: Steps of repair.
    """

    rows: int = 4096
    steps: int = 2000


def contenders(effort: Effort) -> dict[str, Contender]:
    """All of them by name, in the order of the tables.

    Args:
        effort: What they may spend.

    Returns:
        The table.
    """
    return {
        "torch-pruning, L1": _torch_pruning("L1"),
        "torch-pruning, L2": _torch_pruning("L2"),
        "torch-pruning, FPGM": _torch_pruning("FPGM"),
        "torch-pruning, LAMP": _torch_pruning("LAMP"),
        "onnxsim, L1": _onnxsim(norm="l1"),
        "onnxsim, L2": _onnxsim(norm="l2"),
        "onnxsim, L2, refitted": _onnxsim(norm="l2", rows=effort.rows),
        "importance": _coreprune("importance", order="top_down"),  # as the paper prunes
        "optimal": _coreprune("optimal"),
        "optimal, repaired": _coreprune("optimal", repair=coreprune.Repair(steps=effort.steps)),
    }


def _torch_pruning(criterion: str) -> Contender:
    def prune(model: nn.Sequential, widths: Widths, _: int) -> nn.Sequential:
        return by_torch_pruning.prune(model, widths, criterion=criterion)

    return Contender(library="torch-pruning", prune=prune)


def _onnxsim(*, norm: str, rows: int | None = None) -> Contender:
    def prune(file: onnx.ModelProto, widths: Widths, seed: int) -> onnx.ModelProto:
        return by_onnxsim.prune(file, widths, norm=norm, rows=rows, seed=seed)

    return Contender(
        library="onnxsim", prune=prune, prepare=onnx_files.exported, network=onnx_files.read
    )


def _coreprune(method: Method, **options: object) -> Contender:
    """The library's defaults, with a grey image of about the data's norm as the example."""

    def prune(model: nn.Sequential, widths: Widths, seed: int) -> nn.Sequential:
        keep = {
            "fc1": widths[0] / model.fc1.out_features,
            "fc2": widths[1] / model.fc2.out_features,
        }
        grey = torch.full((1, model.fc1.in_features), 1 / 3)
        return coreprune.prune(model, grey, keep=keep, method=method, seed=seed, **options).model

    return Contender(library="coreprune", prune=prune)
