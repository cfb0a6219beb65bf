"""What the command line's options mean where MODEL is a Hugging Face folder."""

import re
from collections.abc import Collection, Mapping

import typer

from coreprune.commands.shared_options import given_of
from coreprune.errors import ArgumentError
from coreprune.queries.normalised import BehindNorms
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.shells.hf_folder.cutting import FolderLaw

_LAWS: Mapping[str, type[BehindNorms | Tokens]] = {"behind_norms": BehindNorms, "tokens": Tokens}

FOLDER_LAWS = (
    "of folders behind_norms or behind_norms:QUERIES (so many a neuron), tokens or tokens:LENGTH, "
    "or a .txt file of sentences, one a line"
)

WAYS: Mapping[str, str] = {
    "shapes": "blocks are cut from their weights alone, and no input is run",
    "weights": "the folder has its weights itself",
    "order": "blocks do not depend on each other",
    "skip": "pass --layers 2:, or --keep BLOCK=SHARE for each block that is to be cut",
    "parameters": "pass --keep 0.5, the share of every block's neurons",
    "flops": "pass --keep 0.5, the share of every block's neurons",
    "size": "pass --keep 0.5, the share of every block's neurons",
    "neurons": "pass --keep 0.5, the share of every block's neurons",
    "error": "pass --keep 0.5; every block's expected error is in the record",
    "certified": "pass --keep 0.5; every block's certificate is in the record",
    "lossless": "pass --keep 0.5",
    "only_curve": "the record of a pruned folder tells every block's expected error",
    "score": "reports of folders run no model; score what is written with tools of your own",
    "radius": "certificates of blocks hold for every input of the model",
    "box": "certificates of blocks hold for every input of the model",
    "samples": "certificates are of blocks, and classes are the whole model's",
    "effort": "blocks are certified as they were when they were pruned",
}
"""Of options that do not apply to folders, by the parameter's name: the way out."""


OF_BLOCKS: Mapping[str, str] = {
    "layers": "name what stays whole with --skip",
    "workers": "nothing is cut block by block",
    "threads": "nothing is cut block by block",
    "ray_address": "nothing is cut block by block",
}
"""Of options that apply to those alone, likewise."""


def check_applicable(context: typer.Context, *, by_blocks: bool) -> None:
    """Refuse options that were given and do not apply to the kind of model.

    Args:
        context: Of the command.
        by_blocks: Whether the model is a folder that is cut block by block.

    Raises:
        ArgumentError: With all of them and the way out of each.
    """
    ways = WAYS if by_blocks else OF_BLOCKS
    if given := given_of(context, ways):
        kinds = (
            "modules and files, not for Hugging Face folders"
            if by_blocks
            else "Hugging Face folders of the family table (docs/families.md), and this is none"
        )
        told = (f"leave {option} out: {ways[name]}" for name, option in given.items())
        raise ArgumentError(f"only for {kinds}: {'; '.join(told)}")


def folder_law_of(words: str | None) -> FolderLaw | None:
    """The law that --queries names, None where it is not given.

    Raises:
        ArgumentError: When the words name none that folders have.

    Example:
        >>> folder_law_of("behind_norms:20")
        BehindNorms(per_neuron=20)
    """
    if words is None:
        return None
    if words.endswith(".txt"):
        return Sentences(words)
    kind, *texts = words.split(":")
    if kind in _LAWS and not texts:
        return _LAWS[kind]()
    if kind == "behind_norms" and len(texts) == 1 and texts[0].isdecimal():
        return BehindNorms(per_neuron=int(texts[0]))
    if kind == "tokens" and len(texts) == 1 and texts[0].isdecimal():
        return Tokens(length=int(texts[0]))
    raise ArgumentError(f"queries must be {FOLDER_LAWS}; got {words!r}")


def layers_of(words: str | None, numbers: Collection[int]) -> list[int] | None:
    """The layers that --layers names, None where it is not given.

    Args:
        words: A slice as Python writes it.
        numbers: Of all layers with a block.

    Returns:
        The numbers that it takes.

    Raises:
        ArgumentError: When it is no slice, or takes none.

    Example:
        >>> layers_of("-2:", range(12))
        [10, 11]
    """
    if words is None:
        return None
    first, last = min(numbers), max(numbers)
    slice_of = re.fullmatch(r"(-?\d+)?:(-?\d+)?", words)
    if slice_of is None:
        raise ArgumentError(
            f"layers must be a slice of transformer layers, as 2:10, :6 or -4:, got {words!r}"
        )
    start, stop = (None if part is None else int(part) for part in slice_of.groups())
    found = sorted(set(range(last + 1)[start:stop]) & set(numbers))
    if not found:
        raise ArgumentError(
            f"layers must take some of the layers {first} to {last}, and {words!r} takes none; "
            f"pass {first}:{last + 1} for all"
        )
    return found
