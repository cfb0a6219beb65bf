"""Find the feed-forward blocks of a folder by its family's row of the table."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coreprune.errors import FileFormatError, UnsupportedModelError
from coreprune.shells.hf_folder.activations import activation_named
from coreprune.shells.hf_folder.config import Config
from coreprune.shells.hf_folder.families import BlockKind
from coreprune.shells.hf_folder.weights import Weights

FLOATS = ("F64", "F32", "F16", "BF16")
"""The dtypes of blocks that can be cut."""

_GAINS, _SHIFTS = ("weight", "gamma"), ("bias", "beta")
"""What a norm's tensors are called; the second of each in checkpoints that once were TensorFlow's,
which transformers renames as it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One feed-forward block by the names of its tensors.

    Attributes:
        name: The layer whose outputs go through the activation, in full.
        kind: Its row of the table.
        layer: The number of the transformer layer that it is in.
        neurons: n.
        activation: As the config names it.
        gate: The weight of that layer; with the rows of `up` below, where the two are fused.
        down: The weight of the layer that reads the neurons.
        norm: The gain of the normalisation whose output it reads.
        up: The weight of the layer that they are multiplied by; None without one, or where fused.
        gate_bias: The bias of `gate`, or None; and so on.
        up_bias: Likewise.
        down_bias: Likewise.
        norm_bias: Likewise.
    """

    name: str
    kind: BlockKind
    layer: int
    neurons: int
    activation: str
    gate: str
    down: str
    norm: str
    up: str | None = None
    gate_bias: str | None = None
    up_bias: str | None = None
    down_bias: str | None = None
    norm_bias: str | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all its tensors and the norm's."""
        names = (self.gate, self.up, self.down, self.norm)
        biases = (self.gate_bias, self.up_bias, self.down_bias, self.norm_bias)
        return tuple(name for name in (*names, *biases) if name is not None)


def find_blocks(config: Config, weights: Weights) -> tuple[Block, ...]:
    """Every feed-forward block of a folder.

    Args:
        config: Says the family and the sizes.
        weights: The tensors.

    Returns:
        The blocks in order of kind, layer and expert.

    Raises:
        FileFormatError: When the config contradicts the tensors.
        UnsupportedModelError: When no row of the family speaks of the model, or a block is stored
            in a dtype that cannot be cut.
    """
    kinds = [kind for kind in config.family.blocks if _speaks(kind, config)]
    if not kinds:
        rules = "; ".join(_rule(kind) for kind in config.family.blocks)
        raise UnsupportedModelError(
            f"{config.path} is a {config.family.name} model of a kind that is not in the table, "
            f"which needs {rules}"
        )
    found = tuple(block for kind in kinds for block in _of_kind(kind, config, weights))
    if not found:
        wanted = ", ".join(f"…{kind.prefix}.{kind.gate}.weight" for kind in kinds)
        raise FileFormatError(
            f"{config.path} says {config.entries['model_type']}, but no tensor is called {wanted}; "
            "take the config.json that belongs to the weights"
        )
    return found


def _speaks(kind: BlockKind, config: Config) -> bool:
    return all(config.entries.get(name) in values for name, values in kind.only_if.items())


def _rule(kind: BlockKind) -> str:
    parts = (f"{name} among {values}" for name, values in kind.only_if.items())
    return " and ".join(parts)


def _of_kind(kind: BlockKind, config: Config, weights: Weights) -> Iterator[Block]:
    """The blocks of one kind, in order.

    Raises:
        FileFormatError: When layers are missing, or shapes are not what the config says.
        UnsupportedModelError: When a dtype cannot be cut.
    """
    pattern = _pattern(f"{kind.prefix}.{kind.gate}.weight")
    matches = [match for name in weights.homes if (match := pattern.fullmatch(name))]
    if matches:
        activation_named(config.activation(kind))  # refused before any work
    matches.sort(key=lambda match: [int(match[number]) for number in _numbers(match)])
    for match in matches:
        block = _block(kind, match, config=config, weights=weights)
        _check_shapes(block, config, weights)
        yield block
    _check_layers(kind, config, sorted({int(match["layer"]) for match in matches}))


def _pattern(template: str) -> re.Pattern[str]:
    """What matches a name, with the root before it and its numbers as groups."""
    escaped = re.escape(template)
    for number in ("layer", "expert"):
        escaped = escaped.replace(re.escape(f"{{{number}}}"), rf"(?P<{number}>\d+)")
    return re.compile(rf"(?P<root>(?:.+\.)?){escaped}")


def _numbers(match: re.Match[str]) -> list[str]:
    return [name for name in ("layer", "expert") if name in match.groupdict()]


def _block(kind: BlockKind, match: re.Match[str], *, config: Config, weights: Weights) -> Block:
    """The block whose gate was found.

    Raises:
        FileFormatError: When its other tensors are not there.
    """
    values = {name: match[name] for name in _numbers(match)}
    prefix = match["root"] + kind.prefix.format(**values)

    def full(layer: str) -> str:
        return f"{prefix}.{layer.format(**values)}"

    def there(layer: str, *endings: str) -> str | None:
        names = (f"{full(layer)}.{ending}" for ending in endings)
        return next((name for name in names if name in weights.homes), None)

    gain = there(kind.norm, *_GAINS) or f"{full(kind.norm)}.{_GAINS[0]}"
    needed = [f"{full(layer)}.weight" for layer in (kind.up, kind.down) if layer] + [gain]
    if missing := [name for name in needed if name not in weights.homes]:
        raise FileFormatError(
            f"{weights.folder} lacks {', '.join(missing)}, which {full(kind.gate)} goes with; "
            "fetch the folder again"
        )
    return Block(
        name=full(kind.gate),
        kind=kind,
        layer=int(match["layer"]),
        neurons=config.width(kind),
        activation=config.activation(kind),
        gate=f"{full(kind.gate)}.weight",
        up=f"{full(kind.up)}.weight" if kind.up else None,
        down=f"{full(kind.down)}.weight",
        norm=gain,
        gate_bias=there(kind.gate, "bias"),
        up_bias=there(kind.up, "bias") if kind.up else None,
        down_bias=there(kind.down, "bias"),
        norm_bias=there(kind.norm, *_SHIFTS),
    )


def _check_shapes(block: Block, config: Config, weights: Weights) -> None:
    """Refuse a block that the config does not describe.

    Raises:
        FileFormatError: With all shapes that differ.
        UnsupportedModelError: When a dtype cannot be cut.
    """
    kind = block.kind
    n, d = block.neurons, config.number(kind.hidden)
    rows = 2 * n if kind.fused else n
    wanted: dict[str | None, tuple[int, ...]] = {
        block.gate: (d, rows) if kind.transposed else (rows, d),
        block.up: (d, n) if kind.transposed else (n, d),
        block.down: (n, d) if kind.transposed else (d, n),
        block.norm: (d,),
        block.gate_bias: (rows,),
        block.up_bias: (n,),
        block.down_bias: (d,),
        block.norm_bias: (d,),
    }
    problems = []
    for name in block.tensors:
        place = weights.place(name)
        if place.shape != wanted[name]:
            problems.append(f"{name} has shape {place.shape}, not {wanted[name]}")
        if place.dtype not in FLOATS:
            raise UnsupportedModelError(
                f"{name} is stored as {place.dtype}; blocks can be cut in {', '.join(FLOATS)}: "
                "prune the unquantised model"
            )
    if problems:
        raise FileFormatError(
            f"{config.path} has {kind.width}={config.entries.get(kind.width)} and "
            f"{kind.hidden}={d}, but {'; '.join(problems)}; "
            "take the config.json that belongs to the weights"
        )


def _check_layers(kind: BlockKind, config: Config, found: Sequence[int]) -> None:
    """Refuse a folder that lacks layers.

    Raises:
        FileFormatError: With the numbers.
    """
    if not found:
        return  # another kind of the family
    count = config.number(*kind.layers)
    absent = kind.every_layer and len(found) < count
    if absent or found[-1] >= count:
        entry = next(name for name in kind.layers if config.entries.get(name) is not None)
        raise FileFormatError(
            f"{config.path} has {entry}={count}, but the tensors have a "
            f"{kind.gate} in layers {', '.join(map(str, found))}; "
            "take the config.json that belongs to the weights"
        )
