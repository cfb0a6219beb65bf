"""Latency of networks in torch and in ONNX Runtime, timed in turns."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.benchmark import Timer

from experiments.peers.onnx_files import exported

RUNTIMES = ("torch", "onnxruntime")


@torch.inference_mode()
def latencies(
    networks: Mapping[str, nn.Sequential],
    *,
    batches: tuple[int, ...],
    rounds: int,
    seconds: float = 0.02,
) -> list[dict[str, Any]]:
    """Medians over rounds, each of which times every network once; one thread.

    Args:
        networks: By name; the first is what the others are compared with.
        batches: Images a call.
        rounds: How many turns.
        seconds: About how long one timing takes.

    Returns:
        One record for each network, runtime and size of batch: the median time of a call in
        microseconds and the median of its ratio to the first network's in the same round.
    """
    records = []
    for runtime in RUNTIMES:
        calls = {name: _call(model, runtime) for name, model in networks.items()}
        for batch in batches:
            timers = {name: _timer(call, batch) for name, call in calls.items()}
            first, *_ = timers.values()
            number = max(1, round(seconds / first.timeit(20).mean))
            times = [
                {name: timer.timeit(number).mean for name, timer in timers.items()}
                for _ in range(rounds)
            ]
            records += [_record(name, times, runtime=runtime, batch=batch) for name in networks]
    return records


def _call(model: nn.Sequential, runtime: str) -> Callable[..., object]:
    """A function of a batch of images."""
    if runtime == "torch":
        return model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        exported(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> object:
        return session.run(None, {name: images})

    return run


def _timer(call: Callable[..., object], batch: int) -> Timer:
    images = torch.full((batch, 784), 1 / 3)
    images = images if isinstance(call, nn.Module) else images.numpy()
    return Timer("call(images)", globals={"call": call, "images": images}, num_threads=1)


def _record(
    name: str, times: list[dict[str, float]], *, runtime: str, batch: int
) -> dict[str, Any]:
    first = next(iter(times[0]))
    return {
        "network": name,
        "runtime": runtime,
        "batch": batch,
        "microseconds": round(1e6 * statistics.median(turn[name] for turn in times), 2),
        "ratio": round(statistics.median(turn[name] / turn[first] for turn in times), 3),
    }
