"""The commands where MODEL is a Hugging Face folder: one library call each, words or JSON out."""

from dataclasses import replace
from pathlib import Path

import typer

import coreprune
from coreprune.commands.folder_options import folder_law_of, layers_of
from coreprune.commands.folder_text import (
    print_folder_inspection,
    print_folder_result,
    print_folder_verification,
)
from coreprune.commands.option_values import repair_of, shares_of
from coreprune.commands.report import report_folder
from coreprune.commands.report_options import ReportWish
from coreprune.commands.terminal import complain, print_json, shown_progress
from coreprune.core.coreset import Method
from coreprune.folder_prune_repair import RATE, FolderWish, cut_folder, prune_and_repair
from coreprune.folder_repair import entries_of
from coreprune.shells.hf_folder.crew import Crew


def inspect_given_folder(source: Path, *, as_json: bool) -> None:
    """`coreprune inspect FOLDER`."""
    with shown_progress() as tell:
        tell("reading headers", 0, 1)
        found = coreprune.inspect_folder(source)
    if as_json:
        print_json(found.to_json())
    else:
        print_folder_inspection(found)


def prune_given_folder(  # noqa: PLR0913 (one argument an option)
    source: Path,
    output: Path | None,
    *,
    keep: list[str],
    method: Method,
    queries: str | None,
    round_to: int,
    layers: str | None,
    crew: Crew,
    threads: int,
    seed: int,
    repair: str | None,
    as_json: bool,
) -> None:
    """`coreprune prune FOLDER`.

    Raises:
        BadParameter: When what is needed is not given.
    """
    if output is None:
        raise typer.BadParameter("give --output FOLDER, a new one")
    if not keep:
        raise typer.BadParameter("give --keep SHARE, as 0.5, or --keep BLOCK=SHARE")
    settings = None if repair is None else replace(repair_of(repair), learning_rate=RATE)
    wish = FolderWish(
        keep=shares_of(keep),
        method=method,
        queries=folder_law_of(queries),
        round_to=round_to,
        layers=_numbers_of(layers, source),
        crew=crew,
        threads=threads,
        seed=seed,
    )
    repaired = None
    with shown_progress() as tell:
        if settings is None:
            result = cut_folder(source, output, wish, progress=tell)
        else:
            done = prune_and_repair(source, output, wish, settings=settings, progress=tell)
            result, repaired = done.result, done.repaired
    if as_json:
        repair_entries = {} if repaired is None else {"repair": entries_of(repaired)}
        print_json({**result.to_json(), **repair_entries})
    else:
        print_folder_result(result, repaired)


def _numbers_of(layers: str | None, source: Path) -> tuple[int, ...] | None:
    """The layers that --layers takes of a folder."""
    if layers is None:
        return None
    numbers = {block.layer for block in coreprune.inspect_folder(source).blocks}
    return tuple(layers_of(layers, numbers) or ())


def verify_given_folder(
    source: Path, pruned: Path, *, wish: ReportWish, seed: int, as_json: bool
) -> None:
    """`coreprune verify FOLDER PRUNED`.

    Raises:
        Exit: With code 1 when a certificate does not hold.
    """
    with shown_progress() as tell:
        found = coreprune.verify_folder(source, pruned, seed=seed, progress=tell)
    report_folder(pruned, wish, certified=found.to_json())
    if as_json:
        print_json(found.to_json())
    else:
        print_folder_verification(found)
    if not found.holds:
        complain(f"coreprune: {found.failure}")
        raise typer.Exit(1)
