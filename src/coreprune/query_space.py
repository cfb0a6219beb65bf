"""The inputs a run plans for: how large the input of every group gets, and that in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.utils import _pytree as pytree

from coreprune.errors import ArgumentError
from coreprune.graph.groups import Group
from coreprune.queries.ball import Ball
from coreprune.shells.torch_module.calls import Call
from coreprune.shells.torch_module.layer_inputs import largest_input_norms
from coreprune.shells.torch_module.subject import Subject

NUM_QUERIES = 256
"""Queries of a ball that are run to see how large hidden inputs get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySpace:
    """A ball a group.

    Attributes:
        radii: β by the group's name: the largest norm of the input of its producer.
        words: Where the radii come from.
    """

    radii: Mapping[str, float]
    words: str


def query_space(
    subject: Subject, groups: Sequence[Group], *, queries: Ball | None, seed: int
) -> QuerySpace:
    """Measure the radius of every group's ball.

    Args:
        subject: The model under work.
        groups: Its groups.
        queries: The ball of network inputs; None takes the example inputs themselves, or, where
            those are zero, the ball of radius √d for an input of d entries.
        seed: Fixes the queries drawn.

    Returns:
        The radii and their origin.

    Raises:
        ArgumentError: When a ball is given for a network that has not one floating-point input.
    """
    words = "layer inputs no larger than on the example inputs"
    if queries is None and (image := _only_input(subject.call)) is not None:
        largest = float(_norms(image).amax())
        if largest != 0:  # NaN is refused below, where it reaches a layer
            words += f" (network inputs of norm at most {largest:.4g})"
        else:
            queries = Ball(math.sqrt(max(1, image[0].numel())))
            words = "the example inputs are zero, so "
    calls: Sequence[Call] = [subject.call]
    if queries is not None:
        calls = _queries(subject.call, queries, seed)
        origin = (
            f"layer inputs no larger than on {NUM_QUERIES} queries of norm {queries.radius:.4g}"
        )
        words = origin if words.startswith("layer") else words + origin
    weights = {
        group.producer.weight: subject.graph.parameters[group.producer.weight] for group in groups
    }
    norms = largest_input_norms(subject.working, calls, weights)
    radii = {group.name: norms[group.producer.weight] for group in groups}
    if wild := [name for name, radius in radii.items() if not math.isfinite(radius)]:
        raise ArgumentError(
            f"example_inputs give NaN or infinite inputs to {', '.join(wild)}; "
            "pass inputs as the network meets them"
        )
    return QuerySpace(radii=radii, words=words)


def _queries(call: Call, ball: Ball, seed: int) -> list[Call]:
    """The example call with its input replaced, in batches of its own size.

    Raises:
        ArgumentError: When the network has other inputs than one with a batch axis.
    """
    example = _only_input(call)
    if example is None:
        raise ArgumentError(
            "queries=Ball(...) needs a network with one floating-point input that has a batch "
            "axis; leave queries out to plan for the norms of the example inputs"
        )
    generator = Generator().manual_seed(seed)
    batches = math.ceil(NUM_QUERIES / len(example))
    return [
        _replaced(call, example, ball.sample(tuple(example.shape), generator=generator))
        for _ in range(batches)
    ]


def _replaced(call: Call, example: Tensor, queries: Tensor) -> Call:
    def swap(leaf: object) -> object:
        return queries.to(example) if leaf is example else leaf

    args, kwargs = pytree.tree_map(swap, (call.args, call.kwargs))
    return Call(args=args, kwargs=kwargs)


def _only_input(call: Call) -> Tensor | None:
    tensors = call.tensors()
    if len(tensors) != 1 or tensors[0].ndim < 2 or not tensors[0].is_floating_point():
        return None
    return tensors[0] if tensors[0].numel() else None


def _norms(batch: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(batch.flatten(1).float(), dim=1)
    return norms
