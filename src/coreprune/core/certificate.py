"""For every query: how far sums of neurons, such as original minus pruned, can be from zero."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from coreprune.core.coordinates import Coordinates, coordinates
from coreprune.core.gram_lagrangian import convex_joint_bounds
from coreprune.core.lagrangian import WIDE, joint_bounds
from coreprune.core.majorants import MOMENTS, majorants
from coreprune.core.neuron_sums import NeuronSums
from coreprune.core.query_set import QuerySet
from coreprune.core.remainders import Forms, Remainders, forms_of, remainders
from coreprune.core.rounding import gamma
from coreprune.core.row_bounds import (
    PROOFS,
    Proof,
    RowBounds,
    SignedSums,
    best_of,
    row_bounds,
    signed_sums,
)
from coreprune.core.uniform_remainders import uniform_remainders
from coreprune.errors import ArgumentError

STEPS = (25, 150, 400)
"""Steps of the relaxation in the passes of a refinement."""
ONCE = (100,)
"""The same without `effort`."""
MANY = 2**26
"""k·n·e from which on a certificate without `effort` stays with the bounds of all rows at once, and
these, whatever the effort, are of neurons in their smallest forms alone."""
_AT_ONCE = 6_000_000  # numbers of one intermediate tensor
_SUMS_AT_ONCE = 64  # between one certificate and the next


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """Proven for every query of the space, rounding included.

    Attributes:
        bound: |r_i(x)| ≤ bound_i. Shape (k,).
        lower: r_i(x) ≥ lower_i. Shape (k,).
        upper: r_i(x) ≤ upper_i. Shape (k,).
        norm: ‖r(x)‖₂ ≤ norm.
        proofs: Which argument gave each bound: "triangle" knows ranges alone.
        without_envelope: Activations bounded through their range and Lipschitz constant alone.
    """

    bound: Tensor
    lower: Tensor
    upper: Tensor
    norm: float
    proofs: tuple[Proof, ...]
    without_envelope: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    sums: NeuronSums
    space: QuerySet
    neurons: Remainders
    parts: SignedSums


def certificate(
    sums: NeuronSums,
    space: QuerySet,
    *,
    effort: float | None = None,
    slack: Tensor | None = None,
) -> Certificate:
    """Bound every sum over every query.

    Args:
        sums: r, for instance a `coreset_difference`.
        space: The queries.
        effort: Seconds for refining the bounds sum by sum; 0 takes those of all rows at once. None
            refines once where that is quick and not at all for wide layers.
        slack: What evaluating both networks in a short precision adds (see `evaluation_error`).
            Shape (k,).

    Returns:
        The best bounds found. They are sound however early the time is up.

    Raises:
        ArgumentError: When queries have another dimension than the neurons, `effort` is negative,
            or an activation overflows on the space.

    Example:
        >>> from coreprune.core.activations import relu
        >>> from coreprune.core.neuron_sums import Block, neuron_sums
        >>> from coreprune.core.query_set import ball
        >>> block = Block(points=torch.eye(2), bias=torch.zeros(2), activation=relu(),
        ...     weights=torch.tensor([[1.0, 1.0]]))
        >>> sums = neuron_sums([block], torch.zeros(1))
        >>> round(certificate(sums, ball(1.0, dimension=2)).bound.item(), 2)  # attained at √2
        1.41
    """
    if effort is not None and not effort >= 0:
        raise ArgumentError(f"effort must be a number of seconds ≥ 0, got {effort}")
    once = () if _size(sums, space) > MANY else ONCE
    passes = once if effort is None else STEPS
    deadline = time.monotonic() + (math.inf if effort is None else effort)
    improving = refinements(sums, space, passes=passes, slack=slack)
    found = next(improving)
    while time.monotonic() < deadline and (better := next(improving, None)) is not None:
        found = better
    return found


def refinements(
    sums: NeuronSums,
    space: QuerySet,
    *,
    passes: Sequence[int] = STEPS,
    slack: Tensor | None = None,
) -> Iterator[Certificate]:
    """Certificates that only get better; stop whenever the last one is good enough.

    The first is that of all rows at once. Then, pass by pass, the largest bounds are refined first,
    a few sums between one certificate and the next.

    Args:
        sums: As in `certificate`.
        space: As in `certificate`.
        passes: Steps of the relaxation in each pass over all sums.
        slack: As in `certificate`.

    Yields:
        Sound certificates.

    Raises:
        ArgumentError: As `certificate`.
    """
    _check_dimension(sums, space)
    forms = forms_of(sums, space)
    problem = _problem(sums, space, forms)
    uniform = {} if _size(sums, space) > MANY else uniform_remainders(forms)
    found = _of_all_rows(problem, uniform.values())
    extra = torch.zeros_like(sums.offsets) if slack is None else slack.to(sums.offsets)
    yield _certificate(problem, found, extra)
    if not passes:
        return
    problems = [problem]
    if "envelope" in uniform:  # of which parabolas bound some sums better, and cones others
        problems.append(_split(sums, space, uniform["envelope"]))
    rows = problem.neurons.rows
    frames = [coordinates(rows, one.parts.line, space) for one in problems]
    gram = rows @ rows.T if _is_wide(frames[0], space) else None
    for steps in passes:
        order = found.values.argsort(descending=True)
        for chunk in torch.split(order, _sums_at_once(frames[0], whole=gram is None)):
            for one, frame in zip(problems, frames, strict=True):
                values = _joint(one, frame, chunk, steps=steps, gram=gram)
                found = _improved(found, chunk, values)
            yield _certificate(problem, found, extra)


def _check_dimension(sums: NeuronSums, space: QuerySet) -> None:
    if (d := sums.blocks[0].points.shape[1]) != len(space.centre):
        raise ArgumentError(
            f"space must have the dimension of the neurons' points, {d}, got {len(space.centre)}"
        )


def _problem(sums: NeuronSums, space: QuerySet, forms: Sequence[Forms]) -> _Problem:
    neurons = remainders(forms)
    if not torch.isfinite(neurons.greatest - neurons.least).all():
        names = ", ".join(block.activation.name for block in sums.blocks)
        raise ArgumentError(f"space must keep {names} finite on every query; pass a smaller one")
    return _split(sums, space, neurons)


def _split(sums: NeuronSums, space: QuerySet, neurons: Remainders) -> _Problem:
    parts = signed_sums(sums, neurons, space)
    return _Problem(sums=sums, space=space, neurons=neurons, parts=parts)


def _size(sums: NeuronSums, space: QuerySet) -> int:
    """k·n·e."""
    n = sum(len(block.points) for block in sums.blocks)
    return len(sums.offsets) * n * min(n, space.axes.shape[-1])


def _of_all_rows(problem: _Problem, uniform: Iterable[Remainders]) -> RowBounds:
    """The best of each neuron in its smallest form, and most of them in one."""
    found = row_bounds(problem.parts, problem.neurons, problem.space)
    for neurons in uniform:
        other = _split(problem.sums, problem.space, neurons)
        found = best_of(found, row_bounds(other.parts, neurons, problem.space))
    return found


def _is_wide(frame: Coordinates, space: QuerySet) -> bool:
    """Whether a matrix of e × e for every sum is too much, and there is a way around it."""
    return frame.rows.shape[1] > WIDE and space.unit == "ball"


def _sums_at_once(frame: Coordinates, *, whole: bool) -> int:
    n, e = frame.rows.shape
    largest = max(n * MOMENTS, e * MOMENTS, max(n, e) * e if whole else 0)
    return min(_SUMS_AT_ONCE, max(1, _AT_ONCE // largest))


def _joint(
    problem: _Problem, frame: Coordinates, chunk: Tensor, *, steps: int, gram: Tensor | None
) -> Tensor:
    """The joint bounds of some of the signed sums."""
    neurons, space = problem.neurons, problem.space
    parts = SignedSums(**{
        field.name: getattr(problem.parts, field.name)[chunk] for field in fields(SignedSums)
    })  # fmt: skip
    if gram is not None:
        plain = Coordinates(
            rows=neurons.rows,
            line=parts.line,
            row_defect=frame.row_defect,
            line_defect=frame.line_defect,
        )
        chosen = majorants(parts, neurons, space, frame=plain, steps=steps, convex=True)
        return convex_joint_bounds(parts, neurons, space, gram=gram, chosen=chosen)
    own = replace(frame, line=frame.line[chunk], line_defect=frame.line_defect[chunk])
    chosen = majorants(parts, neurons, space, frame=own, steps=steps)
    return joint_bounds(parts, neurons, space, frame=own, chosen=chosen)


def _improved(found: RowBounds, chunk: Tensor, values: Tensor) -> RowBounds:
    best, proofs = found.values.clone(), found.proofs.clone()
    proofs[chunk] = torch.where(values < best[chunk], PROOFS.index("joint"), proofs[chunk])
    best[chunk] = torch.minimum(best[chunk], values)
    return RowBounds(values=best, proofs=proofs, norm=found.norm)


def _certificate(problem: _Problem, found: RowBounds, extra: Tensor) -> Certificate:
    k = len(extra)
    above, below = found.values[:k] + extra, found.values[k:] + extra
    bound = torch.maximum(above, below)
    proofs = torch.where(above >= below, found.proofs[:k], found.proofs[k:])
    size: Tensor = torch.linalg.vector_norm(bound)
    spread: Tensor = torch.linalg.vector_norm(extra)
    up = 1 + gamma(k + 8)
    return Certificate(
        bound=bound.clamp_min(0),
        lower=-below,
        upper=above,
        norm=min(found.norm + float(spread) * up, float(size) * up),
        proofs=tuple(PROOFS[index] for index in proofs.tolist()),
        without_envelope=tuple(
            block.activation.name
            for block in problem.sums.blocks
            if block.activation.envelope is None
        ),
    )
