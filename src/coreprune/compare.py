"""Two networks side by side: how long a call of each takes, and how well each does."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from coreprune.errors import ArgumentError
from coreprune.opening import Model, network_of
from coreprune.records import Comparison
from coreprune.shells.calls import Call, call_of
from coreprune.shells.network import Network
from coreprune.shells.onnx_file.document import Document, read
from coreprune.shells.onnx_file.session import start
from coreprune.shells.onnx_file.subject import Subject
from coreprune.shells.torch_module.modules import copied, unwrapped
from coreprune.shells.torch_module.running import check_runs

LEAST, MOST = 3, 1000
"""Rounds, whatever the time says."""

Run = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two networks ready to be called, and what a score is asked of."""

    runs: tuple[Run, Run]
    scored: tuple[Any, Any]
    call: Call


def compare(
    original: Model,
    pruned: Model | Document,
    example_inputs: Any = None,  # noqa: ANN401
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    score: Callable[[Any], float] | None = None,
    seconds: float = 1.0,
) -> Comparison:
    """Time a network and its pruned self in turns, and score both.

    Args:
        original: The network that was pruned: a module, or the path of an .onnx file.
        pruned: `PruneResult.model`, or the path of the .onnx file that it was saved to.
        example_inputs: As for `prune`.
        example_kwargs: Keyword arguments of the forward pass.
        score: Called with each network, in evaluation mode; of .onnx files with an ONNX Runtime
            session of each. What it gives is written down as it is; None scores nothing.
        seconds: How long to time, both together; at least three calls of each, whatever they take.

    Returns:
        Median times and scores.

    Raises:
        ArgumentError: When an argument breaks its rule, or the inputs do not run through both.

    Example:
        >>> import coreprune
        >>> net = nn.Sequential(nn.Linear(8, 100), nn.ReLU(), nn.Linear(100, 3))
        >>> small = coreprune.prune(net, torch.randn(2, 8), keep=0.25).model
        >>> size = lambda model: sum(tensor.numel() for tensor in model.parameters())
        >>> found = compare(net, small, torch.randn(2, 8), score=size, seconds=0.05)
        >>> found.inputs, found.score_before, found.score_after
        ('2 × 8 float32', 1203.0, 303.0)
    """
    _check(original, pruned, score=score, seconds=seconds)
    if isinstance(original, nn.Module):
        pair = _modules(original, pruned, call_of(example_inputs, example_kwargs))
    else:
        pair = _files(network_of(original, example_inputs, example_kwargs=example_kwargs), pruned)
    times = _rounds(pair, seconds=float(seconds))
    scores = (None, None) if score is None else tuple(_scored(score, one) for one in pair.scored)
    return Comparison(
        seconds_before=statistics.median(before for before, _ in times),
        seconds_after=statistics.median(after for _, after in times),
        calls=len(times),
        inputs=", ".join(map(_words, pair.call.tensors())),
        machine=_machine(pair.call),
        score_before=scores[0],
        score_after=scores[1],
    )


def _check(original: object, pruned: object, *, score: object, seconds: object) -> None:
    """Refuse what cannot be compared.

    Raises:
        ArgumentError: Naming the argument, the rule, the value and the way out.
    """
    if isinstance(original, nn.Module) != isinstance(pruned, nn.Module):
        raise ArgumentError(
            "original and pruned must be of one kind, got "
            f"{type(original).__name__} and {type(pruned).__name__}; pass two modules, or the path "
            "of an .onnx file and the model of its result"
        )
    if score is not None and not callable(score):
        raise ArgumentError(
            f"score must be a function of a model, got {score!r}; pass one that gives a number"
        )
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds < math.inf:  # type: ignore[operator]
        raise ArgumentError(f"seconds must be a finite number of at least 0, got {seconds!r}")


def _modules(original: nn.Module, pruned: Any, call: Call) -> _Pair:  # noqa: ANN401
    """Copies in evaluation mode: the caller's modules stay in theirs."""
    first, second = (copied(unwrapped(model)).eval() for model in (original, pruned))
    check_runs(first, call)
    check_runs(second, call)

    def calling(model: nn.Module) -> Run:
        return lambda: model(*call.args, **call.kwargs)

    return _Pair(runs=(calling(first), calling(second)), scored=(first, second), call=call)


def _files(subject: Network, pruned: Any) -> _Pair:  # noqa: ANN401
    """Sessions of an open file and of a pruned one.

    Raises:
        TypeError: When the network is no open file.
    """
    if not isinstance(subject, Subject):
        raise TypeError(f"{type(subject).__name__} is no open file")
    document = pruned if isinstance(pruned, Document) else read(pruned)
    other = replace(subject, working=document, sessions={})
    threads, call = torch.get_num_threads(), subject.call
    first, second = (start(one, threads=threads).running for one in (subject.working, document))
    return _Pair(
        runs=(lambda: subject.run(call), lambda: other.run(call)),
        scored=(first, second),
        call=call,
    )


@torch.inference_mode()
def _rounds(pair: _Pair, *, seconds: float) -> list[tuple[float, float]]:
    """Times of a call of each, in turns, so that what else the machine does hits both."""
    settle = torch.accelerator.synchronize if _accelerated(pair.call) else _nothing

    def timed(run: Run) -> float:
        start = time.perf_counter()
        run()
        settle()
        return time.perf_counter() - start

    for run in pair.runs:
        timed(run)  # the first warms up
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or (len(times) < MOST and time.perf_counter() < end):
        times.append((timed(pair.runs[0]), timed(pair.runs[1])))
    return times


def _scored(score: Callable[[Any], float], model: object) -> float:
    """One network's score.

    Raises:
        ArgumentError: When that is no number.
    """
    with torch.no_grad():
        value: object = score(model)
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as reason:
        raise ArgumentError(
            f"score must give a number, got {value!r}; let it return one float"
        ) from reason


def _words(tensor: Tensor) -> str:
    shape = " × ".join(map(str, tensor.shape)) or "one"
    return f"{shape} {str(tensor.dtype).removeprefix('torch.')}"


def _accelerated(call: Call) -> bool:
    return any(tensor.device.type != "cpu" for tensor in call.tensors())


def _nothing() -> None:
    """On the CPU a call has ended when it returns."""


def _machine(call: Call) -> str:
    if _accelerated(call):
        return str(next(one.device for one in call.tensors() if one.device.type != "cpu"))
    threads = torch.get_num_threads()
    return "CPU, 1 thread" if threads == 1 else f"CPU, {threads} threads"
