"""Cut blocks on the machines of a Ray cluster."""

import importlib
import os
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.memory import gib
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.staging import place_beside, write_tensors
from coreprune.shells.hf_folder.stored import Tensors
from coreprune.shells.hf_folder.task import Task, cut, tensors_of

RETRIES = 3
"""How often a block is begun anew whose worker was lost."""
_PATIENCE = 10.0
"""Seconds that a cluster has to answer a first call."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sent:
    """A tensor on its way: numpy's arrays go through Ray without a copy, but have no bfloat16.

    Attributes:
        numbers: Its bytes.
        dtype: Its dtype.
        shape: Its shape.
    """

    numbers: np.ndarray[Any, np.dtype[np.uint8]]
    dtype: torch.dtype
    shape: tuple[int, ...]


def cut_on_ray(tasks: Sequence[Task], *, address: str) -> Iterator[BlockRecord]:
    """Cut blocks on a cluster, and write them here.

    A block is a task that declares its threads and its memory to Ray, which begins it anew where
    its worker is lost. Its tensors travel through Ray's object store, so that only this process
    needs the folders; workers need coreprune in the same version. No more blocks travel at a time
    than the cluster has room for, and one.

    Args:
        tasks: The blocks.
        address: Of the cluster; "local" starts one on this machine for the time being.

    Yields:
        The record of every block whose tensors are in their places, as they are done.

    Raises:
        ArgumentError: When there is no Ray or no such cluster, no machine has room for a block, or
            workers are lost again and again.
    """
    with _cluster(address) as ray:
        _check_room(ray, tasks)
        try:
            yield from _records(ray, tasks)
        except ray.exceptions.RayTaskError as reason:
            raise reason.cause from reason
        except ray.exceptions.RayError as reason:
            raise ArgumentError(_lost(tasks, reason)) from reason


def _records(ray: Any, tasks: Sequence[Task]) -> Iterator[BlockRecord]:  # noqa: ANN401 (a module)
    remote = ray.remote(max_retries=RETRIES)(_cut)
    waiting = deque(tasks)
    running: dict[Any, Task] = {}
    while waiting or running:
        while waiting and len(running) <= _slots(ray, waiting[0]):
            task = waiting.popleft()
            started = remote.options(num_cpus=task.wish.threads, memory=task.need)
            running[started.remote(task, packed(tensors_of(task)), version("coreprune"))] = task
        (ready, *_), _ = ray.wait(list(running))
        record, tensors = ray.get(ready)
        task = running.pop(ready)
        write_tensors(task.target, unpacked(tensors), task.spots)
        del ready, tensors  # and so from the object store
        yield record


def _cut(
    task: Task, tensors: Mapping[str, Sent], wanted: str
) -> tuple[BlockRecord, dict[str, Sent]]:
    """What a worker does.

    Raises:
        ArgumentError: When it has another version.
    """
    if (found := version("coreprune")) != wanted:
        raise ArgumentError(
            f"Ray's workers must have coreprune {wanted}, as here, but one has {found}: install "
            "the same on every machine of the cluster"
        )
    done = cut(task, unpacked(tensors))
    return done.record, packed(done.tensors)


def packed(tensors: Tensors) -> dict[str, Sent]:
    """Tensors for the way."""
    return {
        name: Sent(
            numbers=tensor.contiguous().flatten().view(torch.uint8).numpy(),
            dtype=tensor.dtype,
            shape=tuple(tensor.shape),
        )
        for name, tensor in tensors.items()
    }


def unpacked(tensors: Mapping[str, Sent]) -> dict[str, Tensor]:
    """The tensors again, in memory that torch has aligned: sums take the same course in it."""
    return {name: _tensor(sent) for name, sent in tensors.items()}


def _tensor(sent: Sent) -> Tensor:
    found = torch.empty(sent.shape, dtype=sent.dtype)
    found.view(-1).view(torch.uint8).numpy()[:] = sent.numbers
    return found


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Ray, connected; disconnected afterwards where it was not before.

    Raises:
        ArgumentError: When it is not installed or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # pruning calls nobody
    try:
        ray = importlib.import_module("ray")
    except ImportError as reason:
        raise ArgumentError(
            'ray_address needs Ray, which is not installed; install "coreprune[distributed]" here '
            "and on the machines of the cluster, or leave it out"
        ) from reason
    if ray.is_initialized():
        yield ray
        return
    _check_reachable(address)
    where = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **where)
    except (ConnectionError, ValueError, RuntimeError) as reason:
        raise ArgumentError(_no_cluster(address, reason)) from reason
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Refuse a place where nobody listens; Ray itself would ask there for many minutes.

    Raises:
        ArgumentError: When nobody does.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # a word of Ray's
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as reason:
        raise ArgumentError(_no_cluster(address, reason)) from reason


def _no_cluster(address: str, reason: Exception) -> str:
    return (
        "ray_address must be that of a running cluster such as 10.0.0.1:6379, or local, "
        f"got {address!r} ({reason})"
    )


def _check_room(ray: Any, tasks: Sequence[Task]) -> None:  # noqa: ANN401 (a module)
    """Refuse blocks that Ray would wait forever to place.

    Raises:
        ArgumentError: When no machine has the threads and the memory.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    threads, need = tasks[0].wish.threads, max(task.need for task in tasks)
    fits = [r for r in nodes if r.get("CPU", 0) >= threads and r.get("memory", 0) >= need]
    if not fits:
        offered = "; ".join(
            f"{r.get('CPU', 0):.0f} CPUs and {gib(int(r.get('memory', 0)))}" for r in nodes
        )
        raise ArgumentError(
            f"ray_address must name a cluster with a machine of {threads} CPUs and {gib(need)} of "
            f"memory for a block, by estimate, but its machines offer {offered}"
        )


def _slots(ray: Any, task: Task) -> int:  # noqa: ANN401 (a module)
    """How many such blocks the cluster can cut at a time; machines come and go."""
    there = ray.cluster_resources()
    by_threads, by_memory = (
        there.get("CPU", 0) / task.wish.threads,
        there.get("memory", 0) / task.need,
    )
    return max(1, int(min(by_threads, by_memory)))


def _lost(tasks: Sequence[Task], reason: Exception) -> str:
    return (
        f"Ray's workers must live until their blocks are done, but Ray gave one up after {RETRIES} "
        f"retries ({str(reason).splitlines()[0]}); a block needs "
        f"{gib(max(task.need for task in tasks))}, by estimate; what is done so far is kept in "
        f"{place_beside(tasks[0].target)}: run the same again to go on"
    )
