"""Bounded query spaces as sets that a certificate can speak of."""

from typing import get_args

import torch
from torch import Tensor

from coreprune.core import query_set
from coreprune.core.query_set import QuerySet
from coreprune.errors import ArgumentError
from coreprune.queries.ball import Ball
from coreprune.queries.box import Bounds, Box
from coreprune.queries.ellipsoid import Ellipsoid

Space = Ball | Box | Ellipsoid

FARTHEST = 1e100
"""The largest centre and half-axis of a space; beyond, bounds overflow."""


def query_set_of(space: Space, shape: tuple[int, ...]) -> QuerySet:
    """All queries of a space, flat.

    Args:
        space: A ball around the origin, a box or an ellipsoid.
        shape: Of one input, without its batch axis; d is the product.

    Returns:
        The set in d dimensions, of float64.

    Raises:
        ArgumentError: When the space is of another kind, does not fit the shape, or is beyond
            `FARTHEST`.

    Example:
        >>> query_set_of(Box(-1.0, 3.0), (2,)).centre.tolist()
        [1.0, 1.0]
    """
    check_space(space)
    found = _set_of(space, shape)
    size = float(torch.maximum(found.centre.abs().amax(), found.axes.abs().amax()))
    if size > FARTHEST:
        raise ArgumentError(
            f"space must keep inputs within {FARTHEST:g}, so that squares of what a network makes "
            f"of them are numbers, got {size:.3g}; pass a smaller space"
        )
    return found


def _set_of(space: Space, shape: tuple[int, ...]) -> QuerySet:
    flat = int(torch.Size(shape).numel())
    if isinstance(space, Ball):
        return query_set.ball(float(space.radius), dimension=flat)
    if isinstance(space, Box):
        space.radius(shape)  # refuses bounds that do not broadcast
        low, high = (_flat(bounds, shape) for bounds in (space.low, space.high))
        return query_set.box(low, high)
    centre, root = space.tensors()
    if len(centre) != flat:
        raise ArgumentError(
            f"space is an ellipsoid in {len(centre)} dimensions, but inputs have {flat}"
        )
    return query_set.ellipsoid(root, centre=centre)


def check_space(space: object) -> None:
    """Refuse what is no bounded space.

    Raises:
        ArgumentError: Naming those there are.
    """
    if not isinstance(space, Space):
        names = ", ".join(kind.__name__ for kind in get_args(Space))
        raise ArgumentError(
            f"space must be one of {names}, got {type(space).__name__}; "
            "a certificate needs bounded queries, such as coreprune.Ball(radius)"
        )


def words_of(space: Space) -> str:
    """The space, for people."""
    if isinstance(space, Ball):
        return f"all inputs of norm at most {space.radius:.6g}"
    if isinstance(space, Box):
        low, high = (torch.as_tensor(bounds).double() for bounds in (space.low, space.high))
        return f"all inputs in the box from {float(low.min()):.6g} to {float(high.max()):.6g}"
    return f"all inputs in {space.words}"


def _flat(bounds: Bounds, shape: tuple[int, ...]) -> Tensor:
    return torch.as_tensor(bounds, dtype=torch.float64).detach().cpu().expand(shape).flatten()
