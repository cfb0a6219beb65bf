"""A pruned Hugging Face folder taught by the original: read both, train, write a third."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from coreprune.core.feed_forward import outputs
from coreprune.core.feed_forward_certificate import trained_certificate
from coreprune.errors import ArgumentError, FileFormatError
from coreprune.progress import Progress
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.records import RepairRecord
from coreprune.repair import Repair, Repaired, repair
from coreprune.repairing import record_of
from coreprune.shells.hf_folder.blocks import Block, find_blocks
from coreprune.shells.hf_folder.config import CONFIG, read_config, read_json
from coreprune.shells.hf_folder.families import Family
from coreprune.shells.hf_folder.files import files_beside
from coreprune.shells.hf_folder.load_folder import load_folder
from coreprune.shells.hf_folder.records import RECORD, BlockRecord, record_from_json
from coreprune.shells.hf_folder.sequences import (
    drawn_sequences,
    sentence_sequences,
    vocabulary_of,
)
from coreprune.shells.hf_folder.staging import Staging, write_tensors
from coreprune.shells.hf_folder.stored import feed_forward, law_of
from coreprune.shells.hf_folder.transformer import Transformer, modules_named, transformer_of
from coreprune.shells.hf_folder.weights import INDEX, Weights, find_weights
from coreprune.shells.torch_module.files import check_target
from coreprune.training.acceleration import accelerator_or_default

LESSON = 32
"""Sequences in a step."""
_CHECKED = 2048
"""Queries on which repaired blocks are compared with the original's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRepaired:
    """A repaired Hugging Face folder.

    Attributes:
        source: The pruned folder that was read.
        target: The folder that was written.
        law: What both models read while the pruned one learnt, in words.
        seed: Of all draws.
        repair: How it went.
        blocks: The blocks that were cut, with the certificates that hold since, and errors on drawn
            queries behind the norms.
    """

    source: Path
    target: Path
    law: str
    seed: int
    repair: RepairRecord
    blocks: tuple[BlockRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """An original folder and what was cut out of it.

    Attributes:
        whole: The original's tensors.
        small: The pruned folder's.
        blocks: The blocks that were cut, as the original has them.
        document: The pruned folder's coreprune.json.
    """

    whole: Weights
    small: Weights
    blocks: tuple[Block, ...]
    document: Mapping[str, Any]


def repair_folder(  # noqa: PLR0913 (the public face: one argument a decision of the user)
    original: str | Path,
    pruned: str | Path,
    target: str | Path,
    *,
    settings: Repair,
    queries: Sentences | Tokens | None = None,
    family: Family | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FolderRepaired:
    """Train the blocks of a pruned folder to give the original's layers' outputs, without data.

    Both models are built by transformers from local files, run in float32 on the device that
    Accelerate is configured for, and read the same sequences; `repair` compares what each of their
    layers gives. The tensors of blocks that were cut are trained, and written in the dtypes they
    are stored in; all else is copied. Certificates are computed anew, from the tensors as written.

    Args:
        original: The folder that was pruned.
        pruned: What `prune_folder` wrote.
        target: The folder to write; it must be new, and appears when it is complete.
        settings: Limits and rate, as in `repair`; transformers learn at rates near 5e-4.
        queries: What both models read; random tokens by default.
        family: A row of your own for a family that the table does not have.
        seed: Of all draws.
        progress: Called as (what, done, of).

    Returns:
        What was done, which is also in the target's coreprune.json.

    Raises:
        ArgumentError: When an argument breaks its rule, or a package is not installed.
        FileFormatError: When a folder's file is missing or damaged, or it was not pruned from
            the original.
        UnsupportedModelError: When transformers does not build or run the models.
    """
    original, pruned, target = Path(original), Path(pruned), Path(target)
    check_target(target)
    law = queries if queries is not None else Tokens()
    pair = _pair(original, pruned, family)
    repaired = _trained(pair, law, settings=settings, seed=seed, progress=progress)
    trained = _tensors(repaired.model, pair)
    records = tuple(_record(block, pair, trained, seed=seed) for block in pair.blocks)
    result = FolderRepaired(
        source=pruned,
        target=target,
        law=law.words,
        seed=seed,
        repair=record_of(repaired),
        blocks=records,
    )
    _write(result, pair, trained)
    return result


def entries_of(result: FolderRepaired) -> dict[str, Any]:
    """What is written down of how a repair went, as JSON takes it."""
    return {**asdict(result.repair), "law": result.law, "seed": result.seed}


def check_repairable(
    original: Path, *, queries: Sentences | Tokens | None = None, held_back: int
) -> None:
    """Refuse a folder whose blocks cannot be trained, before anything is cut.

    Args:
        original: The folder.
        queries: What the models would read; random tokens by default.
        held_back: Batches of that which are not trained on.

    Raises:
        ArgumentError: When a package or a tokenizer is missing, or there are too few sentences.
        FileFormatError: When a file of the folder is missing, damaged or contradicts another.
        UnsupportedModelError: When transformers does not build the model with a layer for each
            block, or it does not read tokens.
    """
    blocks = find_blocks(read_config(original), find_weights(original))
    accelerator_or_default(None)
    model = transformer_of(original)
    _layers(model, blocks)
    lessons = _lessons(queries or Tokens(), original, model, held_back=held_back, seed=0)
    next(lessons)


def _pair(original: Path, pruned: Path, family: Family | None) -> _Pair:
    """Read what both folders say of themselves.

    Raises:
        ArgumentError: When no block was cut.
        FileFormatError: When one is not the other, pruned.
    """
    config, whole = read_config(original, family=family), find_weights(original)
    document = read_json(pruned / RECORD)
    small = find_weights(pruned)
    records = {entry["name"]: record_from_json(entry) for entry in document.get("blocks", ())}
    blocks = tuple(block for block in find_blocks(config, whole) if block.name in records)
    if len(blocks) != len(records) or whole.homes.keys() != small.homes.keys():
        raise FileFormatError(
            f"{pruned} was not made from {original}: they have other blocks or tensors; pass the "
            "folder that was pruned"
        )
    if not blocks:
        raise ArgumentError(f"pruned must be a folder of which blocks were cut, got {pruned}")
    return _Pair(whole=whole, small=small, blocks=blocks, document=document)


def _trained(
    pair: _Pair,
    law: Sentences | Tokens,
    *,
    settings: Repair,
    seed: int,
    progress: Progress | None,
) -> Repaired:
    folder = pair.whole.folder
    teacher, student = transformer_of(folder), _student(pair)
    student.requires_grad_(requires_grad=False)
    for layer in _layers(student, pair.blocks).values():
        layer.requires_grad_(requires_grad=True)
    lessons = _lessons(law, folder, teacher, held_back=settings.held_back, seed=seed)
    return repair(teacher, student, lessons, settings=settings, progress=progress)


def _student(pair: _Pair) -> Transformer:
    """The pruned model, whether or not a config can tell its widths."""
    if pair.document.get("widths"):
        return transformer_of(pair.small.folder)
    fresh = transformer_of(pair.whole.folder)
    load_folder(pair.small.folder, into=fresh.model)
    return fresh


def _layers(model: Transformer, blocks: Sequence[Block]) -> dict[str, nn.Module]:
    """The layers of the blocks, by their names in the files."""
    weights = (weight for block in blocks for weight in (block.gate, block.up, block.down))
    return modules_named(model, [one.removesuffix(".weight") for one in weights if one is not None])


def _lessons(
    law: Sentences | Tokens, folder: Path, model: Transformer, *, held_back: int, seed: int
) -> Iterator[Tensor]:
    """Batches without end, of which the first are not seen again.

    Raises:
        ArgumentError: When there are no sentences for more than those.
    """
    generator = Generator().manual_seed(seed + 2)  # others than those that chose the neurons
    if isinstance(law, Tokens):
        vocabulary = vocabulary_of(folder, model)
        yield from drawn_sequences(law, vocabulary, generator=generator, batch=LESSON)
        return
    batches = sentence_sequences(law, folder, batch=LESSON)
    if len(batches) <= held_back:
        raise ArgumentError(
            f"sentences must fill more than the {held_back} batches that are held back, got "
            f"{len(batches)}; pass more, or in Python hold fewer back with Repair(held_back=1)"
        )
    order = torch.randperm(len(batches), generator=generator).tolist()
    yield from (batches[place] for place in order[:held_back])
    yield from cycle(batches[place] for place in order[held_back:])


def _tensors(model: nn.Module, pair: _Pair) -> dict[str, Tensor]:
    """The trained tensors as they will be stored, by their names in the files."""
    found: dict[str, Tensor] = {}
    for name, layer in _layers(model, pair.blocks).items():  # type: ignore[arg-type]
        for own, tensor in layer.named_parameters():
            full = f"{name}.{own}"
            (stored,) = pair.small.read([full]).values()
            found[full] = tensor.detach().cpu().to(stored.dtype)
    return found


def _record(block: Block, pair: _Pair, trained: Mapping[str, Tensor], *, seed: int) -> BlockRecord:
    """The record of a block with what holds since it was trained."""
    (before,) = (one for one in pair.document["blocks"] if one["name"] == block.name)
    tensors = pair.whole.read(block.tensors)
    whole = feed_forward(block, tensors)
    small = feed_forward(
        block, {**tensors, **{n: trained[n] for n in block.tensors if n in trained}}
    )
    law = law_of(block, tensors)
    kept = torch.tensor(before["kept"])
    space = law.space(tensors[block.gate].dtype)
    proven = trained_certificate(whole, indices=kept, trained=small, space=space)
    x = law.sample(_CHECKED, generator=Generator().manual_seed(seed))
    wanted = outputs(whole, x)
    apart = outputs(small, x) - wanted
    variance = float(wanted.var(0, correction=0).sum())
    error = float(apart.square().sum(1).mean())
    return replace(
        record_from_json(before),
        expected_error=math.sqrt(error / len(whole.weights)),
        relative_error=math.sqrt(error / max(variance, 1e-300)),
        certificate=float(proven.bound.amax()),
        certificate_norm=proven.norm,
        largest_seen=float(apart.abs().amax()),
    )


def _write(result: FolderRepaired, pair: _Pair, trained: Mapping[str, Tensor]) -> None:
    """Copy the pruned folder with the trained tensors in their places."""
    folder, shards = pair.small.folder, pair.small.shards
    layouts = {name: shard.layout for name, shard in shards.items()}
    staging = Staging(result.target, {"repairing": str(folder.resolve())})
    staging.discard()  # training is not resumed from here
    staging = Staging(result.target, {"repairing": str(folder.resolve())})
    staging.check_room(layouts)
    for name, shard in shards.items():
        staging.begin_shard(name, shard, layouts[name])
    homes = pair.small.homes
    spots = {name: staging.spot(name, homes[name], layouts[homes[name]]) for name in trained}
    write_tensors(result.target, trained, spots)
    copied, _ = files_beside(folder, written=frozenset({RECORD, *shards}))
    kept = [name for name in (CONFIG, INDEX) if (folder / name).is_file()]
    for name in {*copied, *kept}:
        staging.copy(folder / name, name)
    document = {
        **pair.document,
        "library_version": version("coreprune"),
        "blocks": [asdict(record) for record in result.blocks],
        "repair": entries_of(result),
    }
    staging.write_text(RECORD, json.dumps(document, ensure_ascii=False) + "\n")
    staging.finish()
