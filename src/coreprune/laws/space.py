"""The inputs a run plans for: how large the input of every group gets, and that in words."""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.graph.groups import Group
from coreprune.graph.inputs import input_values
from coreprune.graph.patches import Extents, window_of
from coreprune.laws.calls import Law, calls_of, drawn_calls, only_input
from coreprune.queries.ball import Ball
from coreprune.queries.box import Box
from coreprune.queries.samples import Samples
from coreprune.queries.sphere import Sphere
from coreprune.queries.tokens import Tokens
from coreprune.shells.calls import Call
from coreprune.shells.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """All inputs of a convolution whose windows of some extents, at any place, are no larger."""

    extents: Extents
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySpace:
    """A ball a group.

    Attributes:
        radii: β by the group's name: the largest norm of the input of its producer, of a
            convolution of one of its patches.
        words: Where the radii come from.
        windows: By the group's name, the windows that the readers' taps see together; only of
            convolutions that are read by such with several taps.
    """

    radii: Mapping[str, float]
    words: str
    windows: Mapping[str, Window] = field(default_factory=dict)


def query_space(
    subject: Network, groups: Sequence[Group], *, queries: Law | None, seed: int
) -> QuerySpace:
    """Measure the radius of every group's ball.

    Args:
        subject: The model under work.
        groups: Its groups.
        queries: What the user plans for: samples count as they are; a ball, a sphere or a box by
            its largest norm; of random tokens one batch, beside the examples. None, or a law
            without bounds, takes the ball of the largest example input (of radius √d for d entries
            where the examples are zero) and the examples themselves, or the examples alone for a
            network with other inputs than one of floating-point type.
        seed: Fixes the queries drawn.

    Returns:
        The radii and their origin.

    Raises:
        ArgumentError: When a bounded law is given for a network that has not one floating-point
            input, or nothing that can be planned for reaches a layer.
    """
    image, source = only_input(subject.call), "queries"
    if isinstance(queries, Samples):
        calls: Iterable[Call] = calls_of(queries, subject, seed=seed)  # more than memory holds
        words, ball = [queries.words], None
    else:
        bound = _ball_of_law(queries, image)
        ball = bound or (None if image is None else _ball_of(image))
        calls = [subject.call] if bound is None else []
        words = ["the example inputs"] if bound is None else []
        source = "example_inputs" if bound is None else source
    if ball is not None:
        draw = functools.partial(ball.sample, generator=Generator().manual_seed(seed))
        calls = itertools.chain(calls, itertools.islice(drawn_calls(subject, draw), 1))
        words.append(f"queries of norm {ball.radius:.4g}")
    if isinstance(queries, Tokens):
        first = itertools.islice(calls_of(queries, subject, seed=seed), 1)
        calls = itertools.chain(calls, first)
        words.append(queries.words)
    weights = {group.producer.weight for group in groups}
    found = {group: window_of(group, subject.graph) for group in groups}
    extents = {group: window for group, window in found.items() if window is not None}
    norms = subject.norms(
        calls,
        weights,
        windows={group.producer.weight: window for group, window in extents.items()},
    )
    radii = {group.name: norms.rows[group.producer.weight] for group in groups}
    _check_radii(radii, source)
    return QuerySpace(
        radii=radii,
        words=f"layer inputs no larger than on {' and '.join(words)}",
        windows={
            group.name: Window(extents=window, radius=norms.windows[group.producer.weight])
            for group, window in extents.items()
        },
    )


def input_radii(
    subject: Network, groups: Sequence[Group], *, queries: Law | None, seed: int
) -> dict[str, float]:
    """The radius of the ball of the network's inputs, for the layers that read these as they are.

    Args:
        subject: The model under work.
        groups: Its groups.
        queries: As in `query_space`; of samples the ball that holds all of them.
        seed: As in `query_space`.

    Returns:
        β by the weights of the groups' layers; nothing for layers that read something else, and
        nothing at all for a network with other inputs than one of floating-point type.

    Raises:
        ArgumentError: When a bounded law is given for such a network.
    """
    image = only_input(subject.call)
    ball = _ball_of_law(queries, image)
    if image is None:
        return {}
    if isinstance(queries, Samples):
        images = (only_input(call) for call in calls_of(queries, subject, seed=seed))
        balls = [None if one is None else _ball_of(one) for one in images]
        known = [one.radius for one in balls if one is not None]
        ball = Ball(max(known)) if known and len(known) == len(balls) else None
    elif ball is None:
        ball = _ball_of(image)
    if ball is None:
        return {}
    shapes, numbers = subject.graph.shapes, image[0].numel()
    roots = {  # every row of these is a part of one example
        value
        for value in subject.graph.inputs | input_values(subject.graph)
        if len(shapes.get(value, ())) >= 2 and numbers % shapes[value][-1] == 0
    }
    return {group.producer.weight: ball.radius for group in groups if group.producer.input in roots}


def _ball_of_law(queries: Law | None, image: Tensor | None) -> Ball | None:
    """The ball around the origin that holds all inputs of a bounded law; None for other laws.

    Raises:
        ArgumentError: When the network's input is not of the kind that the law speaks of.
    """
    if not isinstance(queries, Ball | Sphere | Box):
        return None
    if image is None:
        raise ArgumentError(
            f"queries={type(queries).__name__}(...) needs a network with one floating-point input "
            "that has a batch axis; leave queries out to plan for the norms of the example inputs"
        )
    if isinstance(queries, Box):
        return Ball(queries.radius(tuple(image.shape[1:])))
    return Ball(queries.radius)


def _ball_of(image: Tensor) -> Ball | None:
    """The ball of the largest example; none for examples that are not finite."""
    norms = torch.linalg.vector_norm(image.flatten(1).double(), dim=1)
    largest = float(norms.amax())
    if not math.isfinite(largest):
        return None
    return Ball(largest if largest > 0 else math.sqrt(max(1, image[0].numel())))


def _check_radii(radii: Mapping[str, float], source: str) -> None:
    if wild := [name for name, radius in radii.items() if not math.isfinite(radius)]:
        raise ArgumentError(
            f"{source} give NaN or infinite inputs to {', '.join(wild)}; "
            "pass inputs as the network meets them"
        )
    if silent := [name for name, radius in radii.items() if radius == 0]:
        raise ArgumentError(
            f"{source} reach {', '.join(silent)} as zeros or not at all, so there is nothing to "
            "plan for; pass typical inputs, take torch.compile off inner modules, or name those "
            "layers in skip"
        )
