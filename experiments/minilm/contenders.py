"""Ways to give a sentence transformer fewer inner neurons: a folder in, a folder out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from coreprune.folder_repair import repair_folder
from coreprune.queries.sentences import Sentences
from coreprune.queries.tokens import Tokens
from coreprune.repair import Repair
from coreprune.shells.hf_folder.prune_folder import prune_folder
from experiments.minilm.by_torch_pruning import prune as torch_pruned
from experiments.minilm.sentence_model import model_of

WEIGHTS, TOKENS, TEXTS = "weights only", "random tokens", "real sentences"
REPAIRED = "random tokens, repaired"
MAGNITUDE, PEER = "norm", "torch-pruning, L2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One folder to be.

    Attributes:
        source: The whole model.
        target: Where the narrower one goes.
        keep: The share of inner neurons.
        sentences: Of the training split, for those who read them.
        repair: For those who repair.
    """

    source: Path
    target: Path
    keep: float
    sentences: tuple[str, ...]
    repair: Repair


def _weights(job: Job) -> dict[str, Any]:
    prune_folder(job.source, job.target, keep=job.keep)
    return {}


def _tokens(job: Job) -> dict[str, Any]:
    prune_folder(job.source, job.target, keep=job.keep, queries=Tokens())
    return {}


def _texts(job: Job) -> dict[str, Any]:
    prune_folder(job.source, job.target, keep=job.keep, queries=Sentences(job.sentences))
    return {}


def _repaired(job: Job) -> dict[str, Any]:
    cut = job.target.with_name(f"{job.target.name}-cut")
    prune_folder(job.source, cut, keep=job.keep, queries=Tokens())
    found = repair_folder(job.source, cut, job.target, settings=job.repair)
    return {
        "steps": found.repair.steps,
        "loss_before": found.repair.loss_before,
        "loss_after": found.repair.loss_after,
    }


def _magnitude(job: Job) -> dict[str, Any]:
    prune_folder(job.source, job.target, keep=job.keep, method="magnitude")
    return {}


def _peer(job: Job) -> dict[str, Any]:
    small = torch_pruned(model_of(job.source), keep=job.keep)
    small.config.intermediate_size = len(small.encoder.layer[0].intermediate.dense.weight)
    small.save_pretrained(job.target)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.source, local_files_only=True)
    tokenizer.save_pretrained(job.target)
    return {}


CONTENDERS: Mapping[str, Callable[[Job], dict[str, Any]]] = {
    WEIGHTS: _weights,
    TOKENS: _tokens,
    REPAIRED: _repaired,
    TEXTS: _texts,
    MAGNITUDE: _magnitude,
    PEER: _peer,
}
"""What each does and what else is to be told of it."""
