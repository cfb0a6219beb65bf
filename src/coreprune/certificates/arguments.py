"""What `certify` is given: checked, and read into graphs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coreprune.certificates.precision import named
from coreprune.errors import ArgumentError, UnsupportedModelError
from coreprune.graph.groups import Group
from coreprune.opening import Model, network_of
from coreprune.shells.network import Network
from coreprune.shells.outputs import leaves_of
from coreprune.shells.torch_module.modules import unwrapped


def networks_of(
    pair: tuple[Model, Model],
    example: Any = None,  # noqa: ANN401
    kwargs: Mapping[str, Any] | None = None,
) -> tuple[Network, Network]:
    """Original and pruned model, ready to be read.

    Args:
        pair: Modules or .onnx files.
        example: Inputs of both; None for those that a file declares, or an input that the first
            linear layer of modules tells.
        kwargs: Keyword arguments of the forward pass.

    Returns:
        The networks, of one example.

    Raises:
        ArgumentError: When they run in other types, or not on the example.
        UnsupportedModelError: When weights are NaN or infinite.
    """
    modules = [model for model in pair if isinstance(model, nn.Module)]
    if example is None and isinstance(pair[0], nn.Module):
        example = _linear_example(modules)
    try:
        first = _sound(network_of(pair[0], example, example_kwargs=kwargs), name="original")
        call = first.call
        second = _sound(network_of(pair[1], call.args, example_kwargs=call.kwargs), name="pruned")
    except ArgumentError as reason:
        types = [_types(model) for model in modules]
        if len(types) < 2 or types[0] == types[1]:
            raise
        raise ArgumentError(
            f"original and pruned must run on the same example_inputs, but original is in "
            f"{types[0]}, pruned in {types[1]}; convert one with .float(), or both"
        ) from reason
    return first, second


def _types(model: nn.Module) -> str:
    """The types of a model's parameters in words."""
    return named(*(one.dtype for one in model.parameters() if one.is_floating_point()))


def _sound(network: Network, *, name: str) -> Network:
    """The network itself.

    Raises:
        UnsupportedModelError: When weights are NaN or infinite.
    """
    if strange := network.nonfinite():
        raise UnsupportedModelError(
            f"{name} has NaN or infinite entries in {', '.join(strange)}; "
            "restore a sound checkpoint"
        )
    return network


def _linear_example(models: Sequence[nn.Module]) -> Tensor:
    """An input for networks that begin with a linear layer.

    Raises:
        ArgumentError: When they read other numbers of inputs.
    """
    layers = [_first_linear(model) for model in models]
    sizes = [layer.in_features for layer in layers]
    if len(set(sizes)) > 1:
        raise ArgumentError(
            f"pruned must have the inputs of original, but their first layers read {sizes[1]} and "
            f"{sizes[0]} numbers; if these are not the networks' inputs, pass example_inputs"
        )
    return torch.zeros(1, sizes[0]).to(layers[0].weight.detach())


def _first_linear(model: nn.Module) -> nn.Linear:
    first = next((m for m in unwrapped(model).modules() if next(m.children(), None) is None), None)
    linear = next((m for m in unwrapped(model).modules() if isinstance(m, nn.Linear)), None)
    if linear is None or not isinstance(first, nn.Linear | nn.Flatten | nn.Identity):
        raise ArgumentError(
            "example_inputs is needed, because the model does not begin with a linear layer; "
            "pass one tensor or a tuple of positional arguments"
        )
    return linear


def check_same_ends(first: Network, second: Network) -> None:
    """Refuse networks with other outputs.

    Raises:
        ArgumentError: Naming both shapes.
    """
    shapes = [
        [tuple(leaf.shape) for leaf in leaves_of(subject.run(subject.call))
         if isinstance(leaf, Tensor)]
        for subject in (first, second)
    ]  # fmt: skip
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"pruned must have the outputs of original, got shapes {shapes[1]} and {shapes[0]} "
            "for the same inputs"
        )


def check_groups(groups: Sequence[Group], subject: Network) -> None:
    """Refuse a network without hidden layers.

    Raises:
        UnsupportedModelError: With what could not be read.
    """
    if not groups:
        notes = "; ".join(subject.graph.notes)
        raise UnsupportedModelError(
            "original has no hidden layer between linear layers, so there is nothing to certify"
            + (f"; {notes}" if notes else "")
        )


def check_numbers(effort: float | None, *, radius: float | None, seed: int) -> None:
    """Refuse numbers that break their rule.

    Raises:
        ArgumentError: Naming the argument, the rule and the value.
    """
    if effort is not None and not effort >= 0:
        raise ArgumentError(f"effort must be a number of seconds ≥ 0, got {effort}")
    if radius is not None and not 0 <= radius < math.inf:
        raise ArgumentError(f"radius must be finite and not negative, got {radius}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"seed must be a whole number of at least 0, got {seed!r}")


def checked_samples(samples: Any) -> Tensor:  # noqa: ANN401
    """Samples as a tensor.

    Raises:
        ArgumentError: When there is none, or an entry is NaN or infinite.
    """
    rows = torch.as_tensor(samples)
    if rows.ndim < 2 or not rows.numel():
        raise ArgumentError(
            f"samples must have shape (N, ...), N ≥ 1, got shape {tuple(rows.shape)}"
        )
    if not (sound := rows.isfinite().flatten(1).all(1)).all():
        what = "NaN" if rows.isnan().any() else "infinite entries"
        raise ArgumentError(
            f"samples must be finite, got {what} in {int((~sound).sum())} of {len(rows)}; "
            "leave those rows out"
        )
    return rows


def largest_norm(samples: Tensor) -> float:
    """Of the samples, each flat."""
    norms: Tensor = torch.linalg.vector_norm(samples.double().flatten(1), dim=1)
    return float(norms.amax())
