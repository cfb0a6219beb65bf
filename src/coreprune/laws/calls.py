"""Calls of the network with its inputs drawn from a law."""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError
from coreprune.graph.inputs import first_points
from coreprune.laws.matched import matched_calls
from coreprune.laws.tokens import token_calls, tokens_of
from coreprune.progress import Progress, silent
from coreprune.queries.ball import Ball
from coreprune.queries.batch_norm import BatchNormMatched
from coreprune.queries.box import Box
from coreprune.queries.dead_leaves import DeadLeaves
from coreprune.queries.gaussian import Gaussian
from coreprune.queries.impressions import Conviction, Impressions
from coreprune.queries.samples import Samples
from coreprune.queries.sphere import Sphere
from coreprune.queries.tokens import Tokens
from coreprune.shells.calls import Call, batch_size, first_line
from coreprune.shells.network import Network
from coreprune.shells.outputs import leaves_of

FEWEST, MOST, NUMBERS = 32, 1024, 2**20
"""Queries in one call, where the model takes such batches: as many as hold so many numbers."""

Law = (
    Ball | BatchNormMatched | Box | DeadLeaves | Gaussian | Impressions | Samples | Sphere | Tokens
)

Sample = Callable[[tuple[int, ...]], Tensor]

SHARING = 64
"""Queries in one call of a network that reads a single number as well, drawn once a call."""


def only_input(call: Call) -> Tensor | None:
    """The network's one floating-point input with a batch axis, if that is all it has."""
    tensors = call.tensors()
    if len(tensors) != 1 or tensors[0].ndim < 2 or not tensors[0].is_floating_point():
        return None
    return tensors[0] if tensors[0].numel() else None


def why_not_one(call: Call) -> str:
    """Why `only_input` is none, in words that follow "because"."""
    tensors = call.tensors()
    if len(tensors) != 1:
        return f"the network has {len(tensors)} inputs"
    if not tensors[0].is_floating_point():
        return "the network's input is not of floating-point type"
    if tensors[0].ndim < 2:
        return "the network's input has no batch axis; give it one, as in shape (1, features)"
    return "the network's input is empty"


def calls_of(
    law: Law,
    subject: Network,
    *,
    seed: int,
    most: int = MOST,
    tell: Progress = silent,
) -> Iterator[Call]:
    """Calls with inputs from a law: without end, but for samples and for matched inputs.

    Args:
        law: What inputs are like.
        subject: The model under work.
        seed: Fixes what is drawn.
        most: Queries in one call, where they are drawn.
        tell: Called as (what, done, of) where queries are dear to make.

    Yields:
        Calls, in large batches where the model takes them.

    Raises:
        ArgumentError: When samples do not run through the model, or hold NaN, or there is nothing
            to match.
    """
    generator = Generator().manual_seed(seed)
    if isinstance(law, Samples):
        yield from _given(law, subject)
    elif isinstance(law, BatchNormMatched):
        example = only_input(subject.call)
        yield from matched_calls(law, subject, example=example, seed=seed, tell=tell)
    elif isinstance(law, Tokens):
        yield from token_calls(tokens_of(law, subject), subject, generator=generator)
    elif isinstance(law, Impressions):
        yield from _impressed(law, subject, generator=generator, most=most)
    else:
        draw = functools.partial(law.sample, generator=generator)
        yield from drawn_calls(subject, draw, most=most)


def drawn(
    law: Law, subject: Network, *, seed: int, examples: int, tell: Progress = silent
) -> Iterator[Call]:
    """The first calls of a law, until they hold so many examples or the law has no more."""
    count = 0
    for call in calls_of(law, subject, seed=seed, tell=tell):
        yield call
        count += batch_size(call)
        if count >= examples:
            return


def make_ready(law: Law, subject: Network, *, seed: int, tell: Progress) -> None:
    """Make the queries that take long, so that whoever asks for them later has them at once.

    Args:
        law: What inputs are like.
        subject: The model under work; it holds what is made.
        seed: Fixes the queries.
        tell: Called as (what, done, of).

    Raises:
        ArgumentError: When there is nothing to match.
    """
    if isinstance(law, BatchNormMatched):
        for _ in calls_of(law, subject, seed=seed, tell=tell):
            pass


def drawn_calls(subject: Network, sample: Sample, *, most: int = MOST) -> Iterator[Call]:
    """Without end, calls with every floating-point input drawn anew, in large batches if they run.

    Args:
        subject: The model under work.
        sample: Draws a tensor of a given shape, its first axis the batch.
        most: Queries in one call.

    Yields:
        Calls with other inputs as in the example, of the example's batch size at the least.
    """
    least = 1
    if numbers := _numbers_of_one(subject.call):
        batch = min(most, max(FEWEST, NUMBERS // numbers))
        if any(one.ndim == 0 and one.is_floating_point() for one in subject.call.tensors()):
            batch = min(batch, SHARING)
        trial = _trial(subject, sample, batch)
        if trial is not None:
            yield trial
            least = batch
    while True:
        yield _drawn(subject, sample, least)


def _numbers_of_one(call: Call) -> int:
    """What one example holds where all inputs are floating-point and share a batch axis, else 0.

    Single numbers have no axis, and count for nothing.
    """
    tensors = [tensor for tensor in call.tensors() if tensor.ndim > 0]
    alike = {len(tensor) if tensor.ndim > 1 else -1 for tensor in tensors}
    if len(alike) != 1 or alike & {-1, 0} or not all(t.is_floating_point() for t in tensors):
        return 0
    return sum(tensor[0].numel() for tensor in tensors)


def _impressed(
    law: Impressions, subject: Network, *, generator: Generator, most: int
) -> Iterator[Call]:
    example = only_input(subject.call)  # of several inputs each is noise of its own
    points = None if example is None else first_points(subject.graph)
    convinced = example is not None and _is_differentiable(subject, example)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return law.sample(
            shape,
            points=points,
            conviction=_conviction_of(subject, generator=generator) if convinced else None,
            generator=generator,
        )

    yield from drawn_calls(subject, draw, most=most)


def _is_differentiable(subject: Network, example: Tensor) -> bool:
    """Whether the network's outputs have a derivative by its input."""
    conviction = _conviction_of(subject, generator=Generator())
    trial = example.detach().float().requires_grad_()
    try:
        with torch.enable_grad():
            torch.autograd.grad(conviction(trial).sum(), trial)
    except Exception:  # noqa: BLE001 (a backward pass through the user's code may raise anything)
        return False
    return True


def _conviction_of(subject: Network, *, generator: Generator) -> Conviction:
    """How sure the network is of what each query is to show: the same at every step."""
    seed = int(torch.randint(2**62, (), generator=generator))

    def conviction(queries: Tensor) -> Tensor:
        call = subject.call.with_tensor(queries.to(subject.call.tensors()[0]))
        outputs = [
            leaf.flatten(1)
            for leaf in leaves_of(subject.run(call, gradients=True))
            if isinstance(leaf, Tensor) and leaf.requires_grad and len(leaf) == len(queries)
        ]
        return _log_probability(outputs, generator=Generator().manual_seed(seed))

    return conviction


def _log_probability(outputs: list[Tensor], *, generator: Generator) -> Tensor:
    """Of a random class of logits, or a random combination of other outputs. Shape (b,)."""
    logits = torch.cat(outputs, dim=1)
    if len(outputs) == 1 and logits.shape[1] > 1:
        classes = torch.randint(logits.shape[1], (len(logits), 1), generator=generator)
        return logits.log_softmax(1).gather(1, classes.to(logits.device)).squeeze(1)
    return (logits * torch.randn(logits.shape, generator=generator).to(logits)).sum(1)


def _given(law: Samples, subject: Network) -> Iterator[Call]:
    positional, known = len(subject.call.args), set()
    for args, kwargs in law.batches(positional=positional):
        call = Call(args=args, kwargs={**subject.call.kwargs, **kwargs}).like(subject.call)
        kind = tuple((tensor.shape, tensor.dtype) for tensor in call.tensors())
        try:
            if kind not in known:
                subject.run(call)
                known.add(kind)
        except Exception as reason:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in call.tensors())
            wanted = ", ".join(str(tuple(tensor.shape)) for tensor in subject.call.tensors())
            raise ArgumentError(
                f"samples must run through the model, but it raised {type(reason).__name__}: "
                f"{first_line(reason)} (got {shapes}, the example has {wanted})"
            ) from reason
        yield call


def _drawn(subject: Network, sample: Sample, least: int) -> Call:
    def swap(leaf: object) -> object:
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return leaf
        if leaf.ndim < 2:  # laws speak of rows
            return sample((leaf.numel(), 1)).view_as(leaf).to(leaf)
        return sample((max(least, len(leaf)), *leaf.shape[1:])).to(leaf)

    return subject.call.mapped(swap)


def _trial(subject: Network, sample: Sample, batch: int) -> Call | None:
    """A large batch, or None where the model does not take one; the law itself may run it."""
    try:
        call = _drawn(subject, sample, batch)
        subject.run(call)
    except Exception:  # noqa: BLE001 (a model with a fixed batch size may raise anything)
        return None
    return call
