"""The methods that know a law of the queries: a path first, the neurons and weights of a size next.

| method | path | at a size |
|---|---|---|
| backward | backward elimination | the last m of the path |
| forward | forward selection | the last m of the path |
| optimal | backward elimination | the last m of the path, then swaps |
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor
from typing_extensions import TypeIs  # in typing since Python 3.13

from coreprune.core.moments import Moments
from coreprune.core.reconstruction import Path, reconstructed, ridge_of
from coreprune.core.selection.backward import backward_shared
from coreprune.core.selection.forward import forward_shared
from coreprune.core.selection.swaps import swapped
from coreprune.core.subset import WeightedSubset

PathMethod = Literal["optimal", "backward", "forward"]
PATH_METHODS: tuple[PathMethod, ...] = get_args(PathMethod)

Reader = tuple[Tensor, Moments]
"""Outgoing weights of shape (k, n) and the moments of the n neurons as one reader sees them."""


def follows_a_path(method: str) -> TypeIs[PathMethod]:
    """Whether a method is one of `PATH_METHODS`, which need the moments of the neurons."""
    return method in PATH_METHODS


def path_of(method: PathMethod, readers: Sequence[Reader], *, num_neurons: int = 1) -> Path:
    """In which order neurons go, and what every size costs.

    Args:
        method: Whose path.
        readers: All see the same n neurons, each through functions of its own.
        num_neurons: No smaller size is asked for; spares a backward path its end.

    Returns:
        The path, at every size of at least `num_neurons`. For "optimal" its errors are an upper
        estimate: the swaps that follow only lower them.
    """
    views = _views(readers)
    if method == "forward":
        return forward_shared(views)
    return backward_shared(views, num_neurons=num_neurons)


def kept_at(
    method: PathMethod, readers: Sequence[Reader], path: Path, *, num_neurons: int
) -> Tensor:
    """The neurons of one size of a path.

    Args:
        method: Whose path it is; "optimal" swaps neurons.
        readers: As in `path_of`.
        path: What `path_of` gave for them.
        num_neurons: m between 1 and n.

    Returns:
        Their indices, sorted. Shape (m,).
    """
    kept = path.order[len(path.order) - num_neurons :].sort().values
    return swapped(_views(readers), kept) if method == "optimal" else kept


def solved(readers: Sequence[Reader], kept: Tensor) -> tuple[WeightedSubset, ...]:
    """The best weights of every reader for the neurons kept.

    Args:
        readers: As in `path_of`.
        kept: Indices, sorted. Shape (m,).

    Returns:
        One subset a reader; for m = n the weights themselves.
    """
    return tuple(
        reconstructed(weights, moments, kept, ridge=ridge_of(moments.covariance))
        for weights, moments in readers
    )


def subsets_of(
    method: PathMethod, readers: Sequence[Reader], *, num_neurons: int
) -> tuple[WeightedSubset, ...]:
    """Path, neurons and weights of one size, the path followed only as far as it must be.

    Args:
        method: How to choose.
        readers: As in `path_of`.
        num_neurons: m between 1 and n.

    Returns:
        As `solved`.
    """
    path = path_of(method, readers, num_neurons=num_neurons)
    return solved(readers, kept_at(method, readers, path, num_neurons=num_neurons))


def _views(readers: Sequence[Reader]) -> list[tuple[Tensor, Tensor, float]]:
    return [
        (weights, moments.covariance, ridge_of(moments.covariance)) for weights, moments in readers
    ]
