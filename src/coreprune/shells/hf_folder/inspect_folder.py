"""What of a Hugging Face folder can be pruned, what cannot, and why: headers alone are read."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coreprune.shells.hf_folder.blocks import Block, find_blocks
from coreprune.shells.hf_folder.config import read_config
from coreprune.shells.hf_folder.families import NORMS, Family
from coreprune.shells.hf_folder.stored import shapes_after
from coreprune.shells.hf_folder.weights import Weights, find_weights

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    """One feed-forward block that can be cut.

    Attributes:
        name: The layer whose outputs go through the activation.
        layer: The number of its transformer layer.
        neurons: n.
        inputs: The size of what it reads.
        gated: Whether its neurons are products.
        activation: As the config names it.
        norm: The normalisation whose output it reads.
        dtype: What its weights are stored in.
        parameters: In tensors that pruning makes smaller.
        certificate: For which inputs a certificate can speak of it.
    """

    name: str
    layer: int
    neurons: int
    inputs: int
    gated: bool
    activation: str
    norm: str
    dtype: str
    parameters: int
    certificate: str

    def __str__(self) -> str:
        kind = "gated " if self.gated else ""
        return f"{self.name}: {self.neurons} {kind}neurons, {self.activation}, behind {self.norm}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WholePart:
    """Tensors of one kind that stay as they are.

    Attributes:
        name: Of the layer that they belong to, with `*` for numbers.
        tensors: How many.
        parameters: In all of them.
        reason: Why they stay.
    """

    name: str
    tensors: int
    parameters: int
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: left whole: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderInspection:
    """What of a Hugging Face folder can be pruned.

    Attributes:
        source: The folder.
        family: The row of the family table.
        blocks: Every feed-forward block that can be cut, in order.
        whole: What stays as it is.
        parameters: Of all tensors.
        reachable: The share of them in tensors that pruning makes smaller.
    """

    source: Path
    family: str
    blocks: tuple[BlockView, ...]
    whole: tuple[WholePart, ...]
    parameters: int
    reachable: float

    def __str__(self) -> str:
        share = f"{self.reachable:.1%} of {self.parameters:,} parameters can be reached"
        return "\n".join([share, *map(str, self.blocks), *map(str, self.whole)])

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self) | {"source": self.source.name}


def inspect_folder(source: str | Path, *, family: Family | None = None) -> FolderInspection:
    """List every feed-forward block of a Hugging Face folder, and what stays whole.

    Args:
        source: A folder with config.json and safetensors files, as `save_pretrained` writes it; of
            the latter only the headers are read.
        family: A row of your own for a family that the table does not have.

    Returns:
        The blocks, and the share of parameters that can be reached.

    Raises:
        ArgumentError: When there is no such folder.
        FileFormatError: When a file is missing, damaged or contradicts another.
        UnsupportedModelError: When the family is unknown or the weights cannot be cut.

    Example:
        >>> inspect_folder("no/such/folder")
        Traceback (most recent call last):
        coreprune.errors.ArgumentError: source must be a folder, got no/such/folder
    """
    folder = Path(source)
    config = read_config(folder, family=family)
    weights = find_weights(folder)
    blocks = find_blocks(config, weights)
    sizes = {name: math.prod(weights.place(name).shape) for name in weights.homes}
    views = tuple(_view(block, weights, sizes) for block in blocks)
    total = sum(sizes.values())
    return FolderInspection(
        source=folder,
        family=config.family.name,
        blocks=views,
        whole=tuple(_whole(blocks, weights, sizes)),
        parameters=total,
        reachable=sum(view.parameters for view in views) / max(1, total),
    )


def _view(block: Block, weights: Weights, sizes: Mapping[str, int]) -> BlockView:
    norm = NORMS[block.kind.norm_kind]
    return BlockView(
        name=block.name,
        layer=block.layer,
        neurons=block.neurons,
        inputs=weights.place(block.norm).shape[0],
        gated=block.kind.is_gated,
        activation=block.activation,
        norm=norm,
        dtype=weights.place(block.gate).dtype,
        parameters=sum(sizes[name] for name in _shrinking(block, weights)),
        certificate=f"every input of the model: all that the {norm} before it can give",
    )


def _shrinking(block: Block, weights: Weights) -> list[str]:
    """The names of the tensors that fewer neurons make smaller."""
    return list(shapes_after(block, {n: weights.place(n).shape for n in block.tensors}, 1))


def _whole(
    blocks: tuple[Block, ...], weights: Weights, sizes: Mapping[str, int]
) -> list[WholePart]:
    """What no block makes smaller, by kinds, the largest first."""
    cut = {name for block in blocks for name in _shrinking(block, weights)}
    layers = {_layer(name) for name in cut}
    widths = {weights.place(block.norm).shape[0] for block in blocks}
    kinds: dict[str, list[str]] = {}
    for name in weights.homes:
        if name not in cut:
            kind = name if _layer(name) in layers else _layer(name)
            kinds.setdefault(_starred(kind), []).append(name)
    found = [
        WholePart(
            name=kind,
            tensors=len(names),
            parameters=sum(sizes[name] for name in names),
            reason=_reason(kind, [weights.place(name).shape for name in names], widths=widths),
        )
        for kind, names in kinds.items()
    ]
    return sorted(found, key=lambda part: -part.parameters)


def _layer(name: str) -> str:
    """The layer that a tensor belongs to."""
    return name.rpartition(".")[0] or name


def _starred(name: str) -> str:
    """A name with its numbers taken out."""
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _reason(kind: str, shapes: list[tuple[int, ...]], *, widths: set[int]) -> str:
    """Why tensors of one kind stay."""
    if _ATTENTION.search(kind) and any(len(shape) > 1 for shape in shapes):
        return "attention, whose heads are not cut"
    if all(widths.intersection(shape) for shape in shapes):
        return "on the residual stream, whose width is not cut"
    return "no part of a feed-forward block that the family table speaks of"
