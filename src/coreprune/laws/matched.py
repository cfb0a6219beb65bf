"""Calls with inputs that batch normalisations take for the data."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.laws.kept_queries import keep, kept, name_of
from coreprune.progress import Progress
from coreprune.queries.batch_norm import BatchNormMatched, Statistics, mismatch
from coreprune.shells.calls import Call
from coreprune.shells.network import Network
from coreprune.shells.torch_module.files import tensors_hash

FEWEST, NUMBERS = 16, 2**20
"""Queries matched together, where examples are large: as many as hold so many numbers."""

RECIPE = 1
"""Raised when the same settings come to give other queries: kept ones are not taken then."""


def matched_calls(
    law: BatchNormMatched,
    subject: Network,
    *,
    example: Tensor | None,
    seed: int,
    tell: Progress,
) -> Iterator[Call]:
    """Calls of one batch of matched queries each; a batch is made when it is first asked for.

    Args:
        law: How queries are made.
        subject: The model under work; it holds what was made.
        example: Its only input, if that is a floating-point tensor with a batch axis.
        seed: Fixes the queries.
        tell: Called as (what, done, of).

    Yields:
        Calls.

    Raises:
        ArgumentError: When there is nothing to match.
    """
    if example is None:
        raise ArgumentError(
            "queries=BatchNormMatched(...) needs a network with one floating-point input that has "
            "a batch axis; pass coreprune.Samples(inputs), or leave queries out"
        )
    if not remembers_inputs(subject, example):
        raise ArgumentError(
            "queries=BatchNormMatched(...) needs batch normalisations with running statistics "
            f"(track_running_stats=True), and {subject.kind} has none that its "
            "input reaches (exporters to ONNX fold them into the layers before); pass "
            "coreprune.Samples(inputs), or leave queries out"
        )
    shape = (_batch_size(law, subject, example), *example.shape[1:])
    batches = math.ceil(law.examples / shape[0])
    origin = _origin(law, subject)
    for turn in range(batches):

        def step(taken: int, before: int = turn * law.steps) -> None:
            tell("matching batch normalisations", before + taken, batches * law.steps)

        made = _queries(law, subject, shape, origin=origin, seeds=(seed, turn), step=step)
        yield subject.call.with_tensor(made.to(example))


def remembers_inputs(subject: Network, example: Tensor) -> bool:
    """Whether a batch normalisation remembers something that depends on the network's input."""
    trial = example.detach().float().requires_grad_()
    try:
        with torch.enable_grad():
            seen = _statistics(subject, trial)
            if seen:
                torch.autograd.grad(mismatch(seen), trial)  # raises where it does not depend on it
            return bool(seen)
    except Exception:  # noqa: BLE001 (a backward pass through the user's code may raise anything)
        return False


def _queries(
    law: BatchNormMatched,
    subject: Network,
    shape: tuple[int, ...],
    *,
    origin: Mapping[str, object],
    seeds: tuple[int, int],
    step: Callable[[int], None],
) -> Tensor:
    """One batch of queries, from memory, from the disk or made.

    Args:
        law: How they are made.
        subject: The model under work; it holds what was made.
        shape: Theirs.
        origin: All else that decides what they are, but for the seeds.
        seeds: Of the run, and the number of the batch.
        step: Called with the number of steps taken.

    Returns:
        The queries.
    """
    name = name_of({**origin, "shape": shape, "seeds": seeds})
    if name not in subject.made:
        found = kept(name, shape)
        if found is None:
            (state,) = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
            found = law.sample(
                shape,
                statistics=functools.partial(_statistics, subject),
                generator=Generator().manual_seed(int(state >> 1)),
                step=step,
            )
            keep(name, found)
        subject.made[name] = found
    step(law.steps)
    return subject.made[name]


def _origin(law: BatchNormMatched, subject: Network) -> dict[str, object]:
    """What decides queries: the network, its other arguments, and the settings."""
    others = [leaf for leaf in subject.call.leaves() if not isinstance(leaf, Tensor)]
    settings = dataclasses.asdict(law)
    del settings["examples"], settings["batch"]  # the shape tells
    return {
        "recipe": RECIPE,
        "settings": settings,
        "network": subject.identity,
        "weights": tensors_hash(subject.graph.parameters),
        "type": str(subject.call.tensors()[0].dtype),
        "others": str(others),
    }


def _batch_size(law: BatchNormMatched, subject: Network, example: Tensor) -> int:
    """Queries matched together: fewer where they are large, the example's where it must be so."""
    most = min(law.batch, max(FEWEST, NUMBERS // example[0].numel()))
    batch = math.ceil(law.examples / math.ceil(law.examples / most))  # batches alike
    trial = subject.call.with_tensor(example[:1].expand(batch, *example.shape[1:]))
    try:
        subject.run(trial)
    except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
        return len(example)
    return batch


def _statistics(subject: Network, queries: Tensor) -> list[Statistics]:
    """What batch normalisations see of queries, with derivatives by these."""
    call = subject.call.with_tensor(queries.to(subject.call.tensors()[0]))
    return [_seen(values, mean, variance) for values, mean, variance in subject.remembered(call)]


def _seen(values: Tensor, mean: Tensor, variance: Tensor) -> Statistics:
    axes = [axis for axis in range(values.ndim) if axis != 1]
    spread, middle = torch.var_mean(values.float(), axes, correction=0)
    return Statistics(
        mean=middle,
        variance=spread,
        known_mean=mean.detach().float(),
        known_variance=variance.detach().float(),
    )
