"""How many neurons each block keeps, and what the config then says."""

import math
from collections.abc import Collection, Mapping, Sequence

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.blocks import Block

Keep = float | Mapping[str, float]
"""A share of every block's neurons, or of those of the blocks named."""

UNEVEN = (
    "widths differ from layer to layer, and the config has one number: from_pretrained does not "
    "read the folder, but coreprune.load(folder, into=model) does, into an instance of the "
    "original's class, where that calls its tensors as the files do"
)


def widths_of(
    blocks: Sequence[Block],
    keep: Keep,
    *,
    round_to: int = 1,
    layers: Collection[int] | None = None,
) -> dict[str, int]:
    """The neurons that every block keeps.

    Args:
        blocks: All blocks.
        keep: What the user asked for; blocks that a mapping does not name keep everything.
        round_to: Widths become multiples of this.
        layers: The numbers of the transformer layers to cut; None for all.

    Returns:
        A width between 1 and the block's neurons, by the block's name.

    Raises:
        ArgumentError: When a share, a multiple or a name breaks its rule.
    """
    names = [block.name for block in blocks]
    shares = keep if isinstance(keep, Mapping) else dict.fromkeys(names, keep)
    if unknown := sorted(set(shares) - set(names)):
        raise ArgumentError(
            f"keep names {', '.join(unknown)}, which is no block; the blocks are {', '.join(names)}"
        )
    for name, share in shares.items():
        _check_share(f"keep[{name!r}]" if isinstance(keep, Mapping) else "keep", share)
    chosen = _numbers(blocks, layers)
    return {
        block.name: _width(block, shares.get(block.name, 1.0), round_to)
        if block.layer in chosen
        else block.neurons
        for block in blocks
    }


def _check_share(name: str, share: object) -> None:
    """Refuse what is no share.

    Raises:
        ArgumentError: With the way out.
    """
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if not number or not 0 < share <= 1:  # type: ignore[operator]
        raise ArgumentError(
            f"{name} must be a number in (0, 1], got {share!r}; "
            "to drop half of the neurons pass keep=0.5"
        )


def _numbers(blocks: Sequence[Block], layers: Collection[int] | None) -> set[int]:
    """The layers to cut.

    Raises:
        ArgumentError: When there is no such layer.
    """
    there = {block.layer for block in blocks}
    if layers is None:
        return there
    if unknown := sorted(set(layers) - there):
        raise ArgumentError(
            f"layers must be among {min(there)} to {max(there)}, got {', '.join(map(str, unknown))}"
        )
    return set(layers)


def _width(block: Block, share: float, round_to: int) -> int:
    """The width of one block.

    Raises:
        ArgumentError: When it has no such multiple.
    """
    if isinstance(round_to, bool) or not isinstance(round_to, int) or round_to < 1:
        raise ArgumentError(
            f"round_to must be a whole number of at least 1, got {round_to!r}; pass round_to=1 "
            "for any width"
        )
    if share == 1:
        return block.neurons
    if round_to > block.neurons:
        raise ArgumentError(
            f"round_to must be at most the {block.neurons} neurons of {block.name}, got {round_to}"
            "; pass a smaller multiple, or round_to=1 for any width"
        )
    multiples = max(1, math.floor(share * block.neurons / round_to + 0.5))
    return min(block.neurons, multiples * round_to)


def entries_after(blocks: Sequence[Block], widths: Mapping[str, int]) -> dict[str, int] | None:
    """The config's entries for widths.

    Args:
        blocks: All blocks.
        widths: What each keeps.

    Returns:
        The new values of the entries, or None where blocks of one entry differ.
    """
    found: dict[str, set[int]] = {}
    for block in blocks:
        found.setdefault(block.kind.width, set()).add(widths[block.name])
    if any(len(values) > 1 for values in found.values()):
        return None
    return {name: values.pop() for name, values in found.items()}
