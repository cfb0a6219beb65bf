"""Which law of the inputs a run takes, and why: the user's, or one that suits the model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coreprune.graph.groups import Group
from coreprune.graph.inputs import first_points
from coreprune.laws.calls import Law, only_input, why_not_one
from coreprune.laws.chains import chained, remembers
from coreprune.laws.matched import remembers_inputs
from coreprune.laws.tokens import reads_tokens, tokens_of
from coreprune.queries.ball import Ball
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Impressions
from coreprune.queries.tokens import Tokens
from coreprune.shells.network import Network

MANY, FEW, NUMBERS = 512, 64, 3 * 2**19
"""Queries that are matched: those of 3 × 32 × 32 numbers are many, larger ones fewer, as many as
hold so many numbers; they have more places to look at."""

REMEMBERED = "because batch normalisations remember what inputs are like"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A law and where it comes from.

    Attributes:
        law: None stands for the standard normal law with moments matched to what batch
            normalisations remember.
        why: In words.
    """

    law: Law | None
    why: str


def choose_law(queries: Law | None, subject: Network, groups: Sequence[Group]) -> Choice:
    """The user's law, or the one that did best in experiments on models of this kind.

    A `Ball` stands for normal entries of its root mean square: on its sphere they are nearly so.

    Args:
        queries: What the user passed.
        subject: The model under work.
        groups: Its groups.

    Returns:
        The choice.
    """
    if isinstance(queries, Ball):
        entries = math.prod(subject.call.tensors()[0].shape[1:])
        deviation = queries.radius / math.sqrt(max(1, entries))
        return Choice(law=Gaussian(deviation), why="as queries says")
    if isinstance(queries, Tokens):
        return Choice(law=tokens_of(queries, subject), why="as queries says")
    if queries is None and reads_tokens(subject):
        why = "because the network looks its inputs up in a table"
        return Choice(law=tokens_of(Tokens(), subject), why=why)
    if queries is not None:
        return Choice(law=queries, why="as queries says")
    return _default(subject, groups)


def remark_on(law: Law | None, subject: Network) -> str:
    """What to know of a law of pictures where inputs are none; an empty text for all others."""
    example = only_input(subject.call)
    if not isinstance(law, DeadLeaves) or example is None or example.ndim > 2:
        return ""
    return (
        "queries speaks of pictures, and inputs have no sides: their entries are drawn normal "
        "about a common one; for independent ones pass Gaussian()"
    )


def _default(subject: Network, groups: Sequence[Group]) -> Choice:
    if remembers(groups, chained(subject.graph, groups)):
        return Choice(law=None, why=REMEMBERED)
    example = only_input(subject.call)
    if example is None:
        return Choice(law=Gaussian(), why=f"because {why_not_one(subject.call)}")
    size = _size(example.double().square().mean().sqrt())
    if example.ndim > 2 and remembers_inputs(subject, example):
        examples = _examples(example[0].numel())
        return Choice(law=BatchNormMatched(examples=examples, deviation=size), why=REMEMBERED)
    nonnegative = bool((example >= 0).all() and torch.any(example > 0))
    if first_points(subject.graph) is not None:
        law = Impressions(deviation=size, nonnegative=nonnegative)
        return Choice(law=law, why="because the first layer's weights tell what inputs are like")
    if example.ndim > 3:
        leaves = DeadLeaves(size)
        if nonnegative:  # pixels before any normalisation
            leaves = DeadLeaves(_size(example.double().std()), mean=float(example.double().mean()))
        return Choice(law=leaves, why="because the network's inputs have the shape of pictures")
    return Choice(law=Gaussian(), why="because no layer reads the network's input as it is")


def _examples(numbers: int) -> int:
    """How many queries are matched where one holds so many numbers."""
    return min(MANY, max(FEW, NUMBERS // numbers))


def _size(deviation: Tensor) -> float:
    """A deviation that examples tell, 1 where they tell none."""
    size = float(deviation)
    return size if 0 < size < math.inf else 1.0
