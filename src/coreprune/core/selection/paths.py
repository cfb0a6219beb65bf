"""The methods that know a law of the queries: a path first, the neurons and weights of a size next.

| method | path | at a size |
|---|---|---|
| backward | backward elimination | the last m of the path |
| forward | forward selection | the last m of the path |
| optimal | backward elimination | the last m of the path, then swaps |

A neuron of a dense layer is one column to its readers; a channel of a convolution, one a tap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from typing_extensions import TypeIs  # in typing since Python 3.13

from coreprune.core.moments import Moments
from coreprune.core.reconstruction import Path, reconstructed, ridge_of
from coreprune.core.selection.backward import backward_shared
from coreprune.core.selection.block_paths import BlockView, backward_blocks, forward_blocks
from coreprune.core.selection.block_swaps import swapped_blocks
from coreprune.core.selection.forward import forward_shared
from coreprune.core.selection.swaps import swapped
from coreprune.core.subset import WeightedSubset
from coreprune.core.taps import columns

PathMethod = Literal["optimal", "backward", "forward"]
PATH_METHODS: tuple[PathMethod, ...] = get_args(PathMethod)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """What one reader makes of n neurons.

    Attributes:
        weights: Its weights W; tap t of neuron j is column j T + t. Shape (k, n T).
        moments: Of the n T columns as it sees them.
        taps: T, how many columns each neuron has for it; readers of the same neurons may differ.
    """

    weights: Tensor
    moments: Moments
    taps: int = 1


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
    if _have_taps(readers):
        blocks = _block_views(readers)
        if method == "forward":
            return forward_blocks(blocks)
        return backward_blocks(blocks, num_neurons=num_neurons)
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
    if method != "optimal":
        return kept
    if _have_taps(readers):
        return swapped_blocks(_block_views(readers), kept)
    return swapped(_views(readers), kept)


def solved(readers: Sequence[Reader], kept: Tensor) -> tuple[WeightedSubset, ...]:
    """The best weights of every reader for the neurons kept.

    Args:
        readers: As in `path_of`.
        kept: Indices of neurons, sorted. Shape (m,).

    Returns:
        One subset a reader, of the m T columns of the neurons kept; for m = n the weights
        themselves.
    """
    return tuple(
        reconstructed(
            reader.weights,
            reader.moments,
            columns(kept, reader.taps),
            ridge=ridge_of(reader.moments.covariance),
        )
        for reader in readers
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


def _have_taps(readers: Sequence[Reader]) -> bool:
    return any(reader.taps > 1 for reader in readers)


def _views(readers: Sequence[Reader]) -> list[tuple[Tensor, Tensor, float]]:
    return [
        (reader.weights, reader.moments.covariance, ridge_of(reader.moments.covariance))
        for reader in readers
    ]


def _block_views(readers: Sequence[Reader]) -> list[BlockView]:
    return [(*view, reader.taps) for view, reader in zip(_views(readers), readers, strict=True)]
