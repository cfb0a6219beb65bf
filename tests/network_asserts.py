"""Assertions about pruned networks; each says what was expected and what was found."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from coreprune import PruneResult
from coreprune.prospect import Options, survey


@dataclass(frozen=True)
class Snapshot:
    """What of a module a caller can see."""

    state: dict[str, bytes]
    flags: dict[str, bool]
    grads: dict[str, tuple[bool, bytes | None]]
    hooks: dict[str, tuple[int, int]]


def snapshot(model: nn.Module) -> Snapshot:
    return Snapshot(
        state={name: _bytes(tensor) for name, tensor in model.state_dict().items()},
        flags={name: module.training for name, module in model.named_modules()},
        grads={
            name: (p.requires_grad, None if p.grad is None else _bytes(p.grad))
            for name, p in model.named_parameters()
        },
        hooks={
            name: (len(module._forward_hooks), len(module._forward_pre_hooks))
            for name, module in model.named_modules()
        },
    )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().flatten().contiguous().view(torch.uint8).numpy().tobytes()


def assert_same_outputs(
    left: nn.Module,
    right: nn.Module,
    calls: Iterable[Callable[[nn.Module], Any]],
    *,
    exact: bool = False,
) -> None:
    """Both give the same in evaluation mode, to rounding or bit for bit."""
    left, right = copy.deepcopy(left).eval(), copy.deepcopy(right).eval()
    for call in calls:
        with torch.no_grad():
            leaves = [_numbers(pytree.tree_leaves(call(model))) for model in (left, right)]
            for one, other in zip(*leaves, strict=True):
                slack = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 1e-5}
                torch.testing.assert_close(one, other, equal_nan=True, **slack)


def _numbers(leaves: list[Any]) -> list[Any]:
    return [leaf for leaf in leaves if isinstance(leaf, Tensor | int | float)]


def zeroed(model: nn.Module, result: PruneResult) -> nn.Module:
    """The original whose consumers read zeros from the neurons that the result dropped."""
    clone = copy.deepcopy(model)
    tensors = dict(clone.named_parameters()) | dict(clone.named_buffers())
    for group in result.groups:
        dropped = sorted(set(range(group.neurons_before)) - set(group.kept))
        for consumer in group.consumers:
            weight = tensors[consumer if consumer in tensors else f"{consumer}.weight"]
            apart = weight.data.reshape(len(weight), group.neurons_before, -1)
            apart[:, dropped] = 0
            weight.data = apart.reshape(weight.shape)
    return clone


def assert_costs_are_counted(model: nn.Module, inputs: Any, result: PruneResult) -> None:
    """What sizes are priced at, whole and as the result was cut, is what the two modules have."""
    options = Options(
        method="magnitude", queries=None, round_to=1, skip=(), example_kwargs=None,
        dynamic_shapes=None, seed=0,
    )  # fmt: skip
    prospect = survey(model, inputs, options, tell=lambda *_: None)
    whole = {group.name: group.neurons for group in prospect.partition.groups}
    cut = {record.name: record.neurons_after for record in result.groups}
    for widths, module in ((whole, model), (cut, result.model)):
        numbers = sum(p.numel() for p in module.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(*inputs) if isinstance(inputs, tuple) else module(inputs)
        assert prospect.costs["parameters"].of(widths) == numbers
        assert prospect.costs["bytes"].of(widths) == 4 * numbers
        assert prospect.costs["flops"].of(widths) == counter.get_total_flops()
