"""What ATen operators do to the positions behind the channels: convolutions, pools and resizes."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx

from coreprune.shells.moves import Extents, Moves
from coreprune.shells.torch_module.operators import is_whole_slice, name_of

CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
"""How many axes of positions each has."""

_POOLS = {
    "adaptive_avg_pool1d": 1,
    "adaptive_avg_pool2d": 2,
    "adaptive_avg_pool3d": 3,
    "avg_pool1d": 1,
    "avg_pool2d": 2,
    "avg_pool3d": 3,
    "max_pool1d": 1,
    "max_pool2d": 2,
    "max_pool3d": 3,
    "upsample_bilinear2d": 2,
    "upsample_linear1d": 1,
    "upsample_nearest1d": 1,
    "upsample_nearest2d": 2,
    "upsample_nearest3d": 3,
    "upsample_trilinear3d": 3,
}
_WITH_INDICES = {
    "adaptive_max_pool1d": 1,
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
    "max_pool1d_with_indices": 1,
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
}
_DIVISOR = 6
"""Which argument of an average pool divides by another number than that of the entries."""


def mixed_axes(node: fx.Node) -> tuple[Extents, Extents] | None:
    """The axes whose positions a node mixes, chooses or adds, and those that it removes.

    Args:
        node: One whose first argument is a value.

    Returns:
        The two, or None where it does something else too, or leaves the range of its input.
    """
    name, source = name_of(node), node.args[0]
    if name == "getitem":
        return _first_of_pair(node)
    if not isinstance(source, fx.Node) or not isinstance(source.meta.get("val"), Tensor):
        return None
    rank = source.meta["val"].ndim
    if name in _POOLS:
        return None if _divides_otherwise(node) else (_last(_POOLS[name], rank), ())
    told = _TOLD.get(name)
    return None if told is None else told(node, rank)


def takes_extremes(node: fx.Node) -> bool:
    """Whether one of `mixed_axes` gives the largest or the least of several values."""
    name = name_of(node)
    return name == "getitem" or name.startswith("max_pool") or name in {"amax", "amin"}


def _first_of_pair(node: fx.Node) -> tuple[Extents, Extents] | None:
    """The values of a pool that gives their places besides."""
    pool, index = node.args
    if not isinstance(pool, fx.Node) or name_of(pool) not in _WITH_INDICES or index != 0:
        return None
    return _last(_WITH_INDICES[name_of(pool)], node.meta["val"].ndim), ()


def hides_a_pair(node: object) -> bool:
    """Whether a node gives values with their places, of which `getitem` takes the values."""
    return isinstance(node, fx.Node) and name_of(node) in _WITH_INDICES


def _last(count: int, rank: int) -> Extents:
    return tuple(range(rank - count, rank))


def _divides_otherwise(node: fx.Node) -> bool:
    return name_of(node).startswith("avg_pool") and (
        len(node.args) > _DIVISOR or node.kwargs.get("divisor_override") is not None
    )


def _reduced(node: fx.Node, rank: int) -> tuple[Extents, Extents] | None:
    given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    keeps = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)
    axes = [given] if isinstance(given, int) else list(given or ())  # type: ignore[arg-type]
    if not axes:
        return None
    mixed = tuple(sorted(axis % rank for axis in axes))
    return mixed, () if keeps else mixed


def _padded(node: fx.Node, rank: int) -> tuple[Extents, Extents] | None:
    amounts: Sequence[int] = node.args[1]  # type: ignore[assignment]
    mode = node.args[2] if len(node.args) > 2 else "constant"
    value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
    if mode == "constant" and value:
        return None
    pairs = zip(amounts[::2], amounts[1::2], strict=True)
    axes = {rank - 1 - place for place, pair in enumerate(pairs) if any(pair)}
    return tuple(sorted(axes)), ()


def _selected(node: fx.Node, rank: int) -> tuple[Extents, Extents]:
    axis = (int(node.args[1]) % rank,)  # type: ignore[arg-type]
    return axis, axis


def _sliced(node: fx.Node, rank: int) -> tuple[Extents, Extents] | None:
    if is_whole_slice(node):
        return None
    axis = node.args[1] if len(node.args) > 1 else 0
    return (int(axis) % rank,), ()  # type: ignore[arg-type]


_TOLD = {
    **dict.fromkeys(("amax", "amin", "mean"), _reduced),
    "pad": _padded,
    "select": _selected,
    "slice": _sliced,
}


def moves_of(kernel: Extents, rest: Sequence[Any], named: Mapping[str, Any]) -> Moves:
    """The moves that a call describes.

    Args:
        kernel: The extent of its patches.
        rest: The positional arguments behind the bias.
        named: The keyword arguments.

    Returns:
        The moves, defaults filled in.
    """
    order = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    given = dict(zip(order, rest, strict=False)) | {k: v for k, v in named.items() if k in order}
    stride, padding, dilation, groups = (order | given).values()
    gaps = _each(dilation, len(kernel))
    return Moves(
        kernel=kernel,
        stride=_each(stride, len(kernel)),
        padding=_around(kernel, padding, gaps),
        dilation=gaps,
        groups=int(groups),
    )


def _around(kernel: Extents, padding: Any, dilation: Extents) -> tuple[tuple[int, int], ...]:  # noqa: ANN401
    """Zeros before and after each axis."""
    if padding == "same":
        totals = [gap * (size - 1) for gap, size in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    sides = _each(0 if padding == "valid" else padding, len(kernel))
    return tuple((side, side) for side in sides)


def _each(value: Any, count: int) -> Extents:  # noqa: ANN401
    entries = tuple(value) if isinstance(value, list | tuple) else (value,)
    return entries * count if len(entries) == 1 else entries
