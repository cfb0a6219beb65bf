"""What a group's channels can be where a layer reads them, from the size of what is read first.

Interval by interval through all that lies between, together with how far a network that runs in a
short precision can be from its exact values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from torch import Tensor

from coreprune.core.elementwise import Activation
from coreprune.core.query_set import absolute_reach, ball
from coreprune.core.rounding import Deviation, behind, farthest, gamma, interval
from coreprune.errors import ArgumentError
from coreprune.graph.groups import Consumer, Group
from coreprune.graph.ir import Convolution, Elementwise, Graph, Norm, Parameters, Pool
from coreprune.graph.layer import activation_of, layer_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranges:
    """Channels, at every position.

    Attributes:
        low: Their least values. Shape (n,).
        high: Their greatest values. Shape (n,).
        error: How far evaluated values can be from exact ones. Shape (n,).
    """

    low: Tensor
    high: Tensor
    error: Tensor

    @property
    def height(self) -> Tensor:
        """The largest magnitude of an evaluated value. Shape (n,)."""
        return torch.maximum(self.low.abs(), self.high.abs()) + self.error


def ranges(
    group: Group,
    consumer: Consumer,
    parameters: Parameters,
    *,
    graph: Graph,
    radius: float,
    dtype: torch.dtype,
) -> Ranges:
    """Follow the channels from the layer that makes them to one that reads them.

    Pools give something between the least and the greatest value and zero, which they may meet
    beyond a border; a kernel of its own meets any of its values, or zero, at each of its taps.

    Args:
        group: The channels, which nothing is multiplied with.
        consumer: The layer that reads them.
        parameters: The tensors as they stand, on the CPU.
        graph: For the sizes of maps, on which the rounding of pools depends.
        radius: β, of what the producer reads at one position.
        dtype: The precision that all runs in.

    Returns:
        The ranges, infinite where there is no bound.

    Raises:
        ArgumentError: When something is multiplied with the channels or added to them.
    """
    first = tuple(takewhile(lambda one: isinstance(one, Norm), consumer.passengers))
    layer = layer_of(group, replace(consumer, passengers=first), parameters)
    points, bias, finfo = layer.points.double(), layer.bias.double(), torch.finfo(dtype)
    space = ball(radius, dimension=points.shape[1])
    low, high = interval(points, bias, space)
    terms = points.shape[1] + 1 + layer.roundings
    size = absolute_reach(points, space) + layer.bias_size.double()
    error = gamma(terms, finfo.eps / 2) * size + terms * finfo.tiny * (1 + farthest(space))
    found = Ranges(low=low, high=high, error=error)
    over = ~(found.height < finfo.max)  # what once overflows may be NaN ever after
    for passenger in consumer.passengers[len(first) :]:
        if isinstance(passenger, Pool):
            found = _pooled(found, passenger, graph, dtype=dtype)
        elif isinstance(passenger, Convolution):
            found = _filtered(found, passenger, parameters, dtype=dtype)
        elif isinstance(passenger, Norm | Elementwise):
            found = _mapped(found, activation_of(passenger, parameters), dtype=dtype)
        else:
            raise ArgumentError(
                f"group {group.name} must have channels that nothing is added to or multiplied "
                "with; their ranges are not followed through that"
            )
        over = over | ~(found.height < finfo.max)
    return replace(found, error=torch.where(over, math.inf, found.error))


def _mapped(before: Ranges, activation: Activation, *, dtype: torch.dtype) -> Ranges:
    ends = before.low, before.high
    moved = behind(activation, ends, Deviation(entries=before.error), dtype=dtype)
    low, high = activation.extent(*ends)
    return Ranges(low=low, high=high, error=moved.entries)


def _pooled(before: Ranges, pool: Pool, graph: Graph, *, dtype: torch.dtype) -> Ranges:
    error = before.error
    if pool.is_linear:
        shape: Sequence[int] = graph.shapes[pool.input]
        terms = math.prod(shape[axis] for axis in pool.axes) + 16
        error = error + gamma(terms, torch.finfo(dtype).eps / 2) * before.height
        error = error + terms * torch.finfo(dtype).tiny
    return Ranges(low=before.low.clamp(max=0), high=before.high.clamp(min=0), error=error)


def _filtered(
    before: Ranges, node: Convolution, parameters: Parameters, *, dtype: torch.dtype
) -> Ranges:
    """Behind one kernel a channel."""
    kernels = parameters[node.weight].flatten(1).double()
    bias = kernels.new_zeros(len(kernels))
    if node.bias is not None:
        bias = parameters[node.bias].double()
    ends = torch.stack([kernels * before.low[:, None], kernels * before.high[:, None]])
    sizes, terms = kernels.abs().sum(1), kernels.shape[1] + 2
    total = sizes * before.height + bias.abs()
    slack = gamma(terms + 8) * total
    own = gamma(terms, torch.finfo(dtype).eps / 2) * total + terms * torch.finfo(dtype).tiny
    return Ranges(
        low=bias + ends.amin(0).clamp(max=0).sum(1) - slack,
        high=bias + ends.amax(0).clamp(min=0).sum(1) + slack,
        error=sizes * before.error + own,
    )
