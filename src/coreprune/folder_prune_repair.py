"""A Hugging Face folder cut and then taught by the original, in one go that can be resumed.

Beside the target stands `.<name>.repair` until it is complete, with a plan, the folder as it was
cut, and the state of the training. A run that is killed goes on where it was.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from coreprune.core.coreset import Method
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.folder_repair import FolderRepaired, check_repairable, repair_folder
from coreprune.progress import Progress, silent
from coreprune.queries.normalised import BehindNorms
from coreprune.repair import Repair
from coreprune.shells.hf_folder.config import read_json
from coreprune.shells.hf_folder.crew import Crew
from coreprune.shells.hf_folder.cutting import FolderLaw
from coreprune.shells.hf_folder.prune_folder import check_apart, identity_of, prune_folder
from coreprune.shells.hf_folder.records import RECORD, FolderResult, result_from_json
from coreprune.shells.hf_folder.widths import Keep

RATE = 5e-4
"""At which transformers learn: at those of smaller networks they get worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderWish:
    """How a folder is cut: the arguments of `prune_folder`, which says what they mean.

    Attributes:
        keep: The share of neurons.
        method: How to choose them.
        queries: The law of what blocks read.
        round_to: Widths become multiples of this.
        layers: The numbers of the layers to cut; None for all.
        crew: Who cuts.
        threads: Of torch, for every block.
        seed: Of all draws.
    """

    keep: Keep
    method: Method = "optimal"
    queries: FolderLaw | None = None
    round_to: int = 1
    layers: tuple[int, ...] | None = None
    crew: Crew = field(default_factory=Crew)
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """A folder that was cut and then repaired.

    Attributes:
        result: What was cut, with the errors and certificates of the blocks as they were written.
        repaired: How the repair went.
    """

    result: FolderResult
    repaired: FolderRepaired


def cut_folder(
    source: Path, target: Path, wish: FolderWish, *, progress: Progress | None = None
) -> FolderResult:
    """`prune_folder` of a wish."""
    return prune_folder(
        source,
        target,
        keep=wish.keep,
        method=wish.method,
        queries=wish.queries,
        round_to=wish.round_to,
        layers=wish.layers,
        workers=wish.crew.workers,
        threads=wish.threads,
        ray_address=wish.crew.ray_address,
        seed=wish.seed,
        progress=progress,
    )


def prune_and_repair(
    source: Path,
    target: Path,
    wish: FolderWish,
    *,
    settings: Repair,
    progress: Progress | None = None,
) -> Taught:
    """Write a folder whose blocks have fewer neurons and were trained by the original.

    What both models read meanwhile is what `wish.queries` says if that runs the model, and random
    tokens if not. Whether the model can be run at all is seen before anything is cut.

    Args:
        source: The folder, which is never written to.
        target: The folder to write; it must be new, and appears when it is complete.
        wish: How to cut.
        settings: Limits and rate of the repair; its directory is chosen here.
        progress: Called as (what, done, of).

    Returns:
        What was done, which is also in the target's coreprune.json.

    Raises:
        ArgumentError: When an argument breaks its rule, or the target cannot be written.
        FileFormatError: When a file of the source is missing, damaged or contradicts another.
        UnsupportedModelError: When the weights cannot be cut, or the model cannot be run.
    """
    tell = progress if progress is not None else silent
    check_apart(source, target)
    law = None if isinstance(wish.queries, BehindNorms) else wish.queries
    tell("reading the model", 0, 1)
    check_repairable(source, queries=law, held_back=settings.held_back)
    with _working(target, _plan(source, wish, settings)) as place:
        pruned = place / "pruned"
        if not pruned.is_dir():
            _check_cut(cut_folder(source, pruned, wish, progress=progress))
        settings = replace(settings, directory=place / "training")
        repaired = repair_folder(
            source,
            pruned,
            target,
            settings=settings,
            queries=law,
            seed=wish.seed,
            progress=progress,
        )
    document = read_json(target / RECORD)
    return Taught(
        result=result_from_json(document, source=source, target=target), repaired=repaired
    )


def _check_cut(result: FolderResult) -> None:
    """Refuse a repair of what lost nothing.

    Raises:
        ArgumentError: With the way out.
    """
    if not result.blocks:
        raise ArgumentError(
            "repair needs blocks that lost neurons, and all keep theirs; leave --repair out, or "
            "pass keep=0.5"
        )


def place_of(target: Path) -> Path:
    """Where the work is until the target is complete."""
    return target.parent / f".{target.name}.repair"


@contextmanager
def _working(target: Path, plan: str) -> Iterator[Path]:
    """A folder beside the target, taken up from a run with the same plan, or new.

    It stays where the same command can go on: a run that was stopped, or a disk that was full.

    Raises:
        ArgumentError: When it cannot be written, or as the work has it.
        FileFormatError: As the work has it.
        UnsupportedModelError: As the work has it.
    """
    place = place_of(target)
    planned = place / "plan.json"
    try:
        if not planned.is_file() or planned.read_text(encoding="utf-8") != plan:
            if place.exists():
                shutil.rmtree(place)
            place.mkdir()
            planned.write_text(plan, encoding="utf-8")
    except OSError as reason:
        shutil.rmtree(place, ignore_errors=True)
        raise ArgumentError(
            f"target {target} cannot be written ({reason}); make room or choose another place"
        ) from reason
    try:
        yield place
    except (FileFormatError, UnsupportedModelError):
        shutil.rmtree(place, ignore_errors=True)
        raise
    except ArgumentError as refusal:
        if refusal.__cause__ is None and not (place / "training").exists():
            shutil.rmtree(place, ignore_errors=True)  # the user's mistake: the same again is, too
        raise
    shutil.rmtree(place, ignore_errors=True)


def _plan(source: Path, wish: FolderWish, settings: Repair) -> str:
    """All that the output depends on: a run may go on only where it is the same."""
    files = {
        path.relative_to(source).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(source.rglob("*"))
        if path.is_file()
    }
    plan = {
        "library_version": version("coreprune"),
        "source": str(source.resolve()),
        "files": files,
        "keep": wish.keep if isinstance(wish.keep, int | float) else dict(wish.keep),
        "method": wish.method,
        "queries": identity_of(wish.queries or BehindNorms()),
        "round_to": wish.round_to,
        "layers": wish.layers,
        "threads": wish.threads,
        "seed": wish.seed,
        "repair": repr(settings),
    }
    return json.dumps(plan, sort_keys=True, indent=1)
