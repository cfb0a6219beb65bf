"""The English STS benchmark: pairs of sentences and how alike people found them.

In order: the folder `stsb` under `COREPRUNE_DATA`; what an earlier run left in the cache; the
repository stsb-multi-mt at a fixed commit. Bytes are checked in every case.
"""

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import pooch
import torch
from torch import Tensor

from experiments.lenet import CACHE
from experiments.mnist import NoDataError

COMMIT = "30de0dec4ee199b7f42351d3f1a0b19592955385"
SERVED = f"https://raw.githubusercontent.com/PhilipMay/stsb-multi-mt/{COMMIT}/data/"
CONTENT = {
    "stsb-en-train.csv": "e1e84fec60bbb598735552f54a35f4949904a484750fd2cb11e2720e49f63da6",
    "stsb-en-test.csv": "11523b625219e94e9ca05d2816b5f02cac1614c5894fe657376fa0806378d053",
}
"""SHA-256 of each file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of sentences.

    Attributes:
        first: The first of each.
        second: The second of each.
        scores: How alike they are, from 0 to 5. Shape (n,).
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: Tensor


def train_sentences(count: int) -> tuple[str, ...]:
    """Sentences of the training split, spread over it: its sources follow each other.

    Args:
        count: How many.

    Returns:
        The first sentences of so many pairs at even distances.
    """
    first = dict.fromkeys(_pairs("stsb-en-train.csv").first)
    step = len(first) / count
    whole = tuple(first)
    return tuple(whole[int(place * step)] for place in range(count))


def final_pairs() -> Pairs:
    """The test split: for the final evaluation, never for choices."""
    return _pairs("stsb-en-test.csv")


def spearman(one: Tensor, other: Tensor) -> float:
    """The correlation of ranks, those that are equal sharing their mean rank.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 5.0, 6.0]))
        1.0
    """
    ranks = torch.stack([_ranks(one), _ranks(other)])
    return round(float(torch.corrcoef(ranks)[0, 1]), 12)


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = values.double().unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]


def _pairs(name: str) -> Pairs:
    text = _content(name).decode("utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    first, second, scores = zip(*rows, strict=True)
    return Pairs(first=first, second=second, scores=torch.tensor([float(s) for s in scores]))


def _content(name: str) -> bytes:
    """The bytes of one file.

    Raises:
        NoDataError: When it is not here and cannot be fetched, or is not the one expected.
    """
    given, cache = os.environ.get("COREPRUNE_DATA"), CACHE / "stsb"
    places = [*([Path(given) / "stsb"] if given else []), cache]
    path = next((folder / name for folder in places if (folder / name).exists()), None)
    if path is None:
        try:
            fetched = pooch.retrieve(
                f"{SERVED}{name}",
                known_hash=f"sha256:{CONTENT[name]}",
                fname=name,
                path=cache,
                downloader=pooch.HTTPDownloader(timeout=30),
            )
        except (OSError, ValueError) as reason:
            raise NoDataError(
                f"{name} was not found; set COREPRUNE_DATA to a folder whose subfolder stsb holds "
                f"it, or use --quick ({reason})"
            ) from reason
        path = Path(fetched)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != CONTENT[name]:
        raise NoDataError(f"{path} is not the one expected: its SHA-256 differs; replace it")
    return content
