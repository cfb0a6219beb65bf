"""A coreset of one neuron, and of a whole layer, on plain tensors."""

from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.moments import activation_moments, affine_moments, spherical
from coreprune.core.selection.importance import importance
from coreprune.core.selection.magnitude import magnitude
from coreprune.core.selection.paths import (
    PATH_METHODS,
    PathMethod,
    Reader,
    follows_a_path,
    subsets_of,
)
from coreprune.core.selection.priority import priority
from coreprune.core.selection.uniform import uniform
from coreprune.core.sensitivity import sensitivities
from coreprune.core.subset import WeightedSubset, reweighted
from coreprune.errors import ArgumentError

Sampler = Literal["importance", "priority", "uniform", "magnitude"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
"""The methods that choose by the weights alone, without a law of the queries."""
Method = PathMethod | Sampler
METHODS: tuple[Method, ...] = (*PATH_METHODS, *SAMPLERS)


def layer_coreset(  # noqa: PLR0913 (the layer is five tensors and numbers, not an object)
    points: Tensor,
    weights: Tensor,
    *,
    num_neurons: int,
    activation: Activation,
    query_radius: float,
    bias: Tensor | None = None,
    method: Method = "optimal",
    generator: Generator,
) -> WeightedSubset:
    """Replace a hidden layer by a weighted subset of its neurons, shared by all outputs.

        Σ_j w_ij φ_j(p_j·x + b_j) ≈ Σ_{j ∈ S} u_ij φ_j(p_j·x + b_j)   for every ‖x‖ ≤ β

    Args:
        points: Incoming weights p_j. Shape (n, d).
        weights: Outgoing weights w_ij. Shape (k, n).
        num_neurons: The neurons to keep, between 1 and n.
        activation: φ.
        query_radius: β ≥ 0, finite.
        bias: b_j. Shape (n,).
        method: One of `METHODS`; the first three plan for Gaussian queries of root mean
            square norm β.
        generator: The source of randomness, on the CPU.

    Returns:
        The kept neurons and their new outgoing weights.

    Raises:
        ArgumentError: When a shape, a value or a name breaks its rule.

    Example:
        >>> from coreprune.core.activations import relu
        >>> points, weights = torch.eye(4), torch.tensor([[4.0, 3.0, 2.0, 1.0]])
        >>> subset = layer_coreset(points, weights, num_neurons=4, activation=relu(),
        ...     query_radius=1.0, generator=Generator())
        >>> torch.equal(subset.weights, weights)
        True
    """
    check_method(method)
    check_layer(points, weights, bias)
    if not 1 <= num_neurons <= len(points):
        raise ArgumentError(
            f"num_neurons must be between 1 and the layer's {len(points)}, got {num_neurons}"
        )
    if not 0 <= query_radius < float("inf"):
        raise ArgumentError(f"query_radius must be finite and not negative, got {query_radius}")
    s = sensitivities(points, weights, activation=activation, query_radius=query_radius, bias=bias)
    if follows_a_path(method):
        inputs = spherical(points.shape[1], query_radius)
        z = affine_moments(points, s.new_zeros(len(s)) if bias is None else bias, inputs)
        moments = activation_moments(z, activation)
        return subsets_of(method, [Reader(weights, moments)], num_neurons=num_neurons)[0]
    return select(
        method, points, weights, sensitivities=s, num_neurons=num_neurons, generator=generator
    )


def neuron_coreset(  # noqa: PLR0913 (the layer is five tensors and numbers, not an object)
    points: Tensor,
    weights: Tensor,
    *,
    num_neurons: int,
    activation: Activation,
    query_radius: float,
    bias: Tensor | None = None,
    method: Method = "optimal",
    generator: Generator,
) -> WeightedSubset:
    """The coreset that one output neuron needs: `layer_coreset` with k = 1.

    Args:
        points: Incoming weights p_j of the neurons it reads. Shape (n, d).
        weights: What it reads them with. Shape (n,).
        num_neurons: As in `layer_coreset`.
        activation: As in `layer_coreset`.
        query_radius: As in `layer_coreset`.
        bias: As in `layer_coreset`.
        method: As in `layer_coreset`.
        generator: As in `layer_coreset`.

    Returns:
        The kept neurons; `weights` has shape (1, m).

    Raises:
        ArgumentError: As `layer_coreset`, and when `weights` is not a vector.
    """
    if weights.ndim != 1:
        raise ArgumentError(
            f"weights must have shape (n,), got {tuple(weights.shape)}; "
            "for several outputs use layer_coreset"
        )
    return layer_coreset(
        points,
        weights[None],
        num_neurons=num_neurons,
        activation=activation,
        query_radius=query_radius,
        bias=bias,
        method=method,
        generator=generator,
    )


def select(
    method: Sampler,
    points: Tensor,
    weights: Tensor,
    *,
    sensitivities: Tensor,
    num_neurons: int,
    generator: Generator,
) -> WeightedSubset:
    """Apply a sampling method or a heuristic by its name; the rest is as in `layer_coreset`."""
    if num_neurons == weights.shape[1]:
        return reweighted(weights, torch.arange(num_neurons))
    match method:
        case "importance":
            return importance(weights, sensitivities, num_neurons=num_neurons, generator=generator)
        case "priority":
            return priority(weights, sensitivities, num_neurons=num_neurons, generator=generator)
        case "uniform":
            return uniform(weights, num_neurons=num_neurons, generator=generator)
        case _:
            return magnitude(points, weights, num_neurons=num_neurons)


def check_method(method: str) -> None:
    """Refuse a name that no method has.

    Raises:
        ArgumentError: With the names there are.
    """
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def check_layer(points: Tensor, weights: Tensor, bias: Tensor | None) -> None:
    """Refuse a layer whose shapes or dtypes do not fit.

    Raises:
        ArgumentError: Naming the tensor and the rule.
    """
    if points.ndim != 2 or weights.ndim != 2 or points.shape[0] != weights.shape[1]:
        raise ArgumentError(
            "points must have shape (n, d) and weights shape (k, n), got "
            f"{tuple(points.shape)} and {tuple(weights.shape)}"
        )
    if 0 in weights.shape:
        raise ArgumentError(
            f"weights must have at least one row and one column, got {tuple(weights.shape)}"
        )
    if bias is not None and bias.shape != points.shape[:1]:
        raise ArgumentError(f"bias must have shape ({len(points)},), got {tuple(bias.shape)}")
    for name, tensor in (("points", points), ("weights", weights), ("bias", bias)):
        if tensor is not None and not tensor.is_floating_point():
            raise ArgumentError(f"{name} must have a floating-point dtype, got {tensor.dtype}")
