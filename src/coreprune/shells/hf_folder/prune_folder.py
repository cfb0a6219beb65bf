"""Prune a Hugging Face folder: read, cut block by block, write."""

import hashlib
import json
import math
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coreprune.core.coreset import Method, check_method
from coreprune.errors import ArgumentError, FileFormatError, UnsupportedModelError
from coreprune.progress import Progress, silent
from coreprune.queries.normalised import LEAST, BehindNorms
from coreprune.queries.sentences import Sentences
from coreprune.shells.hf_folder.blocks import Block, find_blocks
from coreprune.shells.hf_folder.config import CONFIG, OWN_CODE, Config, read_config
from coreprune.shells.hf_folder.crew import Crew, check_crew, cut_by
from coreprune.shells.hf_folder.cutting import FolderLaw, Wish, words_of
from coreprune.shells.hf_folder.families import Family
from coreprune.shells.hf_folder.files import files_beside
from coreprune.shells.hf_folder.layout import Layout, resized
from coreprune.shells.hf_folder.memory import block_need
from coreprune.shells.hf_folder.records import (
    FORMAT,
    RECORD,
    BlockRecord,
    FolderResult,
    is_of_few_tokens,
    record_from_json,
)
from coreprune.shells.hf_folder.seen import seen_by_blocks
from coreprune.shells.hf_folder.staging import Staging
from coreprune.shells.hf_folder.stored import shapes_after
from coreprune.shells.hf_folder.task import Task, cut_and_write, torch_threads
from coreprune.shells.hf_folder.weights import INDEX, Weights, find_weights, index_after
from coreprune.shells.hf_folder.widths import UNEVEN, Keep, entries_after, widths_of
from coreprune.shells.torch_module.files import check_target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """All that is known before the first block is cut.

    Attributes:
        config: The original's.
        weights: The original's.
        blocks: All blocks.
        widths: What each keeps.
        layouts: Of the shards to be, by name.
        wish: How to cut.
    """

    config: Config
    weights: Weights
    blocks: tuple[Block, ...]
    widths: Mapping[str, int]
    layouts: Mapping[str, Layout]
    wish: Wish

    @property
    def cut(self) -> list[Block]:
        """The blocks that lose neurons."""
        return [block for block in self.blocks if self.widths[block.name] < block.neurons]


def prune_folder(  # noqa: PLR0913 (what, where to, how much, how)
    source: str | Path,
    target: str | Path,
    *,
    keep: Keep,
    method: Method = "optimal",
    queries: FolderLaw | None = None,
    round_to: int = 1,
    layers: Collection[int] | None = None,
    family: Family | None = None,
    seed: int = 0,
    workers: int = 1,
    threads: int = 1,
    ray_address: str | None = None,
    progress: Progress | None = None,
) -> FolderResult:
    """Write a Hugging Face folder whose feed-forward blocks have fewer neurons.

    No code of the folder is executed, and the folder that is read is never written to. Unless
    `queries` asks for it, the model is not run, and one block is in memory at a time, or one a
    worker. A run that was stopped goes on after the blocks that were done when it is called again
    in the same way, with as many workers or others.

    Args:
        source: A folder with config.json and safetensors files, as `save_pretrained` writes it.
        target: The folder to write; it must be new, and appears when it is complete.
        keep: The share of every block's neurons to keep, or shares by the blocks' names; with the
            latter widths may differ, which transformers cannot read.
        method: How to choose neurons; all but "importance", whose widths are random.
        queries: The law of what blocks read; by default that behind their norms, in closed form.
            `Tokens` and `Sentences` run the model as transformers builds it, from local files;
            beside random tokens the law behind the norms counts for a fifth.
        round_to: Widths become multiples of this.
        layers: The numbers of the transformer layers to cut; None for all.
        family: A row of your own for a family that the table does not have.
        seed: Of all draws.
        workers: How many blocks are cut at a time, each by a process of its own; with more than
            one, a script must guard its main part by `if __name__ == "__main__":`. The result is
            the same to the bit at any number.
        threads: Of torch, for every block. They are not all that the machine has, whatever their
            number, because sums and so last digits depend on it: `workers` times `threads` should
            be the machine's cores.
        ray_address: Of a Ray cluster that cuts the blocks, in workers' place, with the same result;
            "local" starts one on this machine.
        progress: Called as (what, done, of).

    Returns:
        What was done, which is also in the target's coreprune.json.

    Raises:
        ArgumentError: When an argument breaks its rule, or the target cannot be written.
        FileFormatError: When a file of the source is missing, damaged or contradicts another.
        UnsupportedModelError: When the family is unknown or the weights cannot be cut.

    Example:
        >>> prune_folder("no/such/folder", "small", keep=0.5)
        Traceback (most recent call last):
        coreprune.errors.ArgumentError: source must be a folder, got no/such/folder
    """
    tell = progress if progress is not None else silent
    crew = Crew(workers=workers, ray_address=ray_address)
    law = queries or BehindNorms()
    check_crew(crew, threads=threads, runs_model=not isinstance(law, BehindNorms))
    source, target = Path(source), Path(target)
    _check_method(method)
    job = _job(
        read_config(source, family=family),
        keep=keep,
        round_to=round_to,
        layers=layers,
        wish=Wish(method=method, queries=law, seed=seed, threads=threads),
    )
    check_apart(source, target)
    staging = Staging(target, _plan(job))
    with torch_threads(threads), _kept_to_go_on(staging):
        _write(job, staging, crew, tell=tell)
    return _finish(job, staging)


@contextmanager
def _kept_to_go_on(staging: Staging) -> Generator[None, None, None]:
    """Discard what is written where the same call would be refused again.

    Raises:
        ArgumentError: As the work has it.
        FileFormatError: As the work has it.
        UnsupportedModelError: As the work has it.
    """
    resumed = bool(staging.shards_done)
    try:
        yield
    except (FileFormatError, UnsupportedModelError):
        staging.discard()
        raise
    except ArgumentError as refusal:
        # a full disk or a lost worker is a cause, and the run goes on from there
        if isinstance(refusal.__cause__, ImportError | None) and not resumed:
            staging.discard()
        raise


def _write(job: _Job, staging: Staging, crew: Crew, *, tell: Progress) -> None:
    """Write the shards, block by block."""
    shards = job.weights.shards
    staging.check_room(job.layouts)
    for done, (name, layout) in enumerate(job.layouts.items()):
        tell("copying what stays", done, len(shards))
        staging.begin_shard(name, shards[name], layout)
    blocks = job.cut
    left = [block for block in blocks if block.name not in staging.blocks_done]
    tell("pruning blocks", len(blocks) - len(left), len(blocks))
    with closing(_cut(left, job, staging, crew=crew, tell=tell)) as records:  # nobody works on
        for record in records:
            staging.note_block(record.name, asdict(record))
            tell("pruning blocks", len(staging.blocks_done), len(blocks))


def _cut(
    blocks: Sequence[Block], job: _Job, staging: Staging, *, crew: Crew, tell: Progress
) -> Generator[BlockRecord, None, None]:
    """Cut and write blocks; where the law runs the model, in this process."""
    queries = job.wish.queries
    if isinstance(queries, BehindNorms):
        yield from cut_by(crew, [_task(block, job, staging) for block in blocks])
    elif blocks:
        folder, seed = job.weights.folder, job.wish.seed
        wanted = LEAST * max(block.neurons for block in job.cut)
        found = seen_by_blocks(blocks, folder, queries, wanted=wanted, seed=seed, tell=tell)
        for block, seen in found:
            yield cut_and_write(_task(block, job, staging), seen=seen)


def _job(
    config: Config, *, keep: Keep, round_to: int, layers: Collection[int] | None, wish: Wish
) -> _Job:
    weights = find_weights(config.path.parent)
    blocks = find_blocks(config, weights)
    widths = widths_of(blocks, keep, round_to=round_to, layers=layers)
    shapes: dict[str, tuple[int, ...]] = {}
    for block in blocks:
        if widths[block.name] < block.neurons:
            before = {name: weights.place(name).shape for name in block.tensors}
            shapes |= shapes_after(block, before, widths[block.name])
    layouts = {name: resized(shard.layout, shapes) for name, shard in weights.shards.items()}
    return _Job(
        config=config, weights=weights, blocks=blocks, widths=widths, layouts=layouts, wish=wish
    )


def _check_method(method: Method) -> None:
    """Refuse methods that are none, or whose widths are left to chance.

    Raises:
        ArgumentError: With the way out.
    """
    check_method(method)
    if method == "importance":
        raise ArgumentError(
            "method must give every layer the same width, and 'importance' draws with replacement: "
            "how many neurons are left is random; pass method='priority', whose draws are exact"
        )


def check_apart(source: Path, target: Path) -> None:
    """Refuse a target in the source.

    Raises:
        ArgumentError: When it is, or cannot be written.
    """
    inside = source.resolve()
    if inside == target.resolve() or inside in target.resolve().parents:
        raise ArgumentError(
            f"target must lie outside the source, which is never written to, got {target}"
        )
    check_target(target)


def _plan(job: _Job) -> dict[str, Any]:
    """What the output depends on: a run may go on only where all of it is the same."""
    shards = {}
    for name, shard in job.weights.shards.items():
        found = shard.path.stat()
        header = hashlib.sha256(shard.layout.header).hexdigest()
        shards[name] = [found.st_size, found.st_mtime_ns, header]
    return {
        "format": FORMAT,
        "library_version": version("coreprune"),
        "source": str(job.weights.folder.resolve()),
        "config": hashlib.sha256(job.config.path.read_bytes()).hexdigest(),
        "shards": shards,
        "family": repr(job.config.family),
        "widths": dict(job.widths),
        "method": job.wish.method,
        "queries": identity_of(job.wish.queries),
        "seed": job.wish.seed,
        "threads": job.wish.threads,
    }


def identity_of(queries: FolderLaw) -> str:
    """The law and, of sentences, what they say."""
    if not isinstance(queries, Sentences):
        return words_of(queries)
    return hashlib.sha256("\n".join(queries.lines()).encode()).hexdigest()


def _task(block: Block, job: _Job, staging: Staging) -> Task:
    kind, homes = block.kind, {name: job.weights.homes[name] for name in block.tensors}
    need = block_need(
        neurons=block.neurons,
        width=job.config.number(kind.hidden),
        layers=3 if kind.is_gated else 2,
        centred=kind.norm_kind == "layer_norm",
    )
    return Task(
        block=block,
        num_neurons=job.widths[block.name],
        wish=job.wish,
        sources={name: job.weights.folder.resolve() / home for name, home in homes.items()},
        target=staging.target,
        spots={name: staging.spot(name, home, job.layouts[home]) for name, home in homes.items()},
        need=need,
    )


def _finish(job: _Job, staging: Staging) -> FolderResult:
    """Write the small files and let the folder appear."""
    folder, index = job.weights.folder, job.weights.index
    entries = entries_after(job.blocks, job.widths)
    written = frozenset({CONFIG, RECORD, INDEX, *job.layouts})
    copied, left_out = files_beside(folder, written=written)
    records = [record_from_json(staging.blocks_done[block.name]) for block in job.cut]
    result = _result(job, staging, records, entries=entries, left_out=left_out)
    for name in copied:
        staging.copy(folder / name, name)
    config = dict(job.config.entries) | (entries or {})
    staging.write_text(CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    if index is not None:
        staging.write_text(INDEX, index_after(index, job.layouts.values()))
    document = {
        "format": FORMAT,
        "library_version": version("coreprune"),
        "threads": job.wish.threads,
        "block_widths": dict(job.widths),
        **result.to_json(),
    }
    staging.write_text(RECORD, json.dumps(document, ensure_ascii=False) + "\n")
    staging.finish()
    return result


def _result(
    job: _Job,
    staging: Staging,
    records: list[BlockRecord],
    *,
    entries: Mapping[str, int] | None,
    left_out: list[str],
) -> FolderResult:
    notes = [UNEVEN] if entries is None else []
    if "auto_map" in job.config.entries:
        notes.append(f"{OWN_CODE}, and the family table speaks of transformers' own code")
    if few := [one for one in records if is_of_few_tokens(one)]:
        worst = min(few, key=lambda one: (one.rows or 0) / one.neurons_before)
        fewer = (worst.rows or 0) < worst.neurons_before
        notes.append(
            f"{'fewer tokens than neurons' if fewer else 'few tokens'}: {worst.rows:,} for the "
            f"{worst.neurons_before:,} of {worst.name}; the weights fit those tokens, and expected "
            f"errors are of them alone: pass at least {LEAST} tokens a neuron"
        )
    cut = {record.name for record in records}
    return FolderResult(
        source=job.weights.folder,
        target=staging.target,
        family=job.config.family.name,
        method=job.wish.method,
        law=words_of(job.wish.queries),
        seed=job.wish.seed,
        blocks=tuple(records),
        whole={
            block.name: "keeps all its neurons, as asked"
            for block in job.blocks
            if block.name not in cut
        },
        widths=entries or {},
        parameters_before=_parameters(shard.layout for shard in job.weights.shards.values()),
        parameters_after=_parameters(job.layouts.values()),
        left_out=tuple(left_out),
        notes=tuple(notes),
        model_class=job.config.model_class,
    )


def _parameters(layouts: Iterable[Layout]) -> int:
    return sum(math.prod(place.shape) for layout in layouts for place in layout.places.values())
