"""What the words of the command line's options mean."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import typer

from coreprune.budget import Budget, Keep
from coreprune.errors import ArgumentError, FileFormatError
from coreprune.laws.calls import Law
from coreprune.queries.ball import Ball
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.bounded import Space
from coreprune.queries.box import Box
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.samples import Samples
from coreprune.queries.sphere import Sphere
from coreprune.queries.tokens import Tokens
from coreprune.repair import Repair

LAWS = (
    "gaussian:σ, impressions:σ, dead_leaves:σ, batch_norm:EXAMPLES, tokens:VOCABULARY, ball:β, "
    "sphere:β, box:LOW:HIGH, or a .npy or .npz file of samples"
)


def keep_of(
    keep: list[str], budgets: dict[str, float | None], *, lossless: bool = False
) -> Keep | None:
    """The one target among the options.

    Args:
        keep: What --keep says, once or more often.
        budgets: The budgets' options by their targets, None where not given.
        lossless: Whether --lossless was given.

    Returns:
        A share, shares by layer, or a budget; None for --lossless.

    Raises:
        BadParameter: When there is no target, or more than one.
    """
    given = {name: value for name, value in budgets.items() if value is not None}
    chosen = {"keep": bool(keep), **dict.fromkeys(given, True), "lossless": lossless}
    targets = [f"--{name}" for name, said in chosen.items() if said]
    if len(targets) > 1:
        raise typer.BadParameter(f"give one of {', '.join(targets)}, not {len(targets)} together")
    if not targets:
        names = ", ".join(f"--{name}" for name in budgets)
        raise typer.BadParameter(f"give one of --keep, {names}, --lossless")
    if lossless:
        return None
    return shares_of(keep) if keep else Budget(**given)


def law_of(words: str) -> Law:
    """The law that --queries names.

    Args:
        words: As "gaussian:0.5", or a file's name.

    Returns:
        The law.

    Raises:
        ArgumentError: When the words name none.
        FileFormatError: When the file is none of numpy's.

    Example:
        >>> law_of("ball:9.2")
        Ball(radius=9.2)
    """
    if words.endswith((".npy", ".npz")):
        return Samples(array_of(Path(words)))
    kind, *texts = words.split(":")
    numbers = _numbers(texts)
    match kind, numbers:
        case "gaussian" | "dead_leaves", [] | [_]:
            return Gaussian(*numbers) if kind == "gaussian" else DeadLeaves(*numbers)
        case "impressions", [] | [_]:
            return Impressions(deviation=numbers[0] if numbers else 1.0)
        case ("batch_norm", [] | [_]) | ("tokens", [] | [_] | [_, _]):
            return _counted(kind, numbers)
        case "ball" | "sphere", [radius]:
            return Ball(radius) if kind == "ball" else Sphere(radius)
        case "box", [low, high]:
            return Box(low, high)
    raise ArgumentError(f"queries must be {LAWS}; got {words!r}")


def _counted(kind: str, numbers: Sequence[float] | None) -> BatchNormMatched | Tokens:
    """A law by whole numbers; it refuses 2.5 of something itself."""
    told: list[Any] = [int(number) if number.is_integer() else number for number in numbers or ()]
    if kind == "batch_norm":
        return BatchNormMatched(**dict(zip(["examples"], told, strict=False)))
    return Tokens(**dict(zip(["vocabulary", "length"], told, strict=False)))


def _numbers(texts: list[str]) -> list[float] | None:
    """The numbers, or None where a text is none."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def space_of(radius: float | None, box: str | None) -> Space | None:
    """The space that --radius or --box names, None where neither is given.

    Raises:
        BadParameter: When both are given.
        ArgumentError: When the numbers are none.

    Example:
        >>> space_of(9.2, None)
        Ball(radius=9.2)
    """
    if radius is not None and box is not None:
        raise typer.BadParameter("give one of --radius, --box")
    if radius is not None:
        return Ball(radius)
    if box is None:
        return None
    try:
        low, high = map(float, box.split(":"))
    except ValueError as reason:
        raise ArgumentError(f"box must be LOW:HIGH, as 0:1; got {box!r}") from reason
    return Box(low, high)


def repair_of(words: str) -> Repair:
    """The limit that --repair names: steps as "2000", seconds as "60s".

    Raises:
        ArgumentError: When the words are neither.

    Example:
        >>> repair_of("60s").seconds
        60.0
    """
    if re.fullmatch(r"\d+", words):
        return Repair(steps=int(words))
    if re.fullmatch(r"\d+(\.\d+)?s", words):
        return Repair(seconds=float(words[:-1]))
    raise ArgumentError(f"repair must be steps as 2000, or seconds as 60s; got {words!r}")


def array_of(path: Path) -> np.ndarray:
    """The array of a .npy file, or the only one of an .npz file.

    Raises:
        FileFormatError: When it cannot be read, without running code, or holds several.
    """
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            arrays = [content] if isinstance(content, np.ndarray) else list(content.values())
    except OSError as reason:
        raise FileFormatError(f"{path} cannot be read as an array ({reason})") from reason
    except (ValueError, EOFError, BadZipFile) as reason:  # numpy's words would have pickles run
        raise FileFormatError(
            f"{path} cannot be read as an array of numbers; pass one that numpy.save wrote"
        ) from reason
    if len(arrays) != 1:
        raise FileFormatError(f"{path} holds {len(arrays)} arrays; save the inputs alone")
    array: np.ndarray = arrays[0]
    return array


def shares_of(keep: list[str]) -> float | dict[str, float]:
    """What --keep says: one share, or shares by layers.

    Raises:
        BadParameter: When a share is no number, or a layer has two.
    """
    shares = [entry.rpartition("=") for entry in keep]
    try:
        if len(shares) == 1 and not shares[0][1]:
            return float(shares[0][2])
        if all(layer for layer, _, _ in shares):
            share_of = {layer: float(share) for layer, _, share in shares}
            if len(share_of) == len(shares):
                return share_of
    except ValueError:
        pass
    raise typer.BadParameter(
        f"--keep takes one share, or LAYER=SHARE once for each layer; got {', '.join(keep)}"
    )
