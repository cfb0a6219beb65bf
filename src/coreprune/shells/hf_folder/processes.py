"""Cut blocks in processes of this machine."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.memory import gib
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.staging import place_beside
from coreprune.shells.hf_folder.task import Task, cut_and_write


def cut_in_processes(tasks: Sequence[Task], *, workers: int) -> Iterator[BlockRecord]:
    """Cut and write blocks, several at a time.

    Each process reads, cuts and writes one block at a time; only records come back. Processes are
    spawned, so a script that gets here must guard its main part by `if __name__ == "__main__":`.

    Args:
        tasks: The blocks.
        workers: How many processes.

    Yields:
        The record of every block whose tensors are in their places, as they are done.

    Raises:
        ArgumentError: When a process was killed.
    """
    context = get_context("spawn")
    stay, alive = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_leave_with, initargs=(stay,)
    )
    try:
        yield from _records(pool, deque(tasks), workers=workers)
        pool.shutdown()
    except BrokenProcessPool as reason:
        raise ArgumentError(_killed(tasks, workers)) from reason
    finally:
        alive.close()  # where the run was stopped, workers stop in the middle of their blocks
        pool.shutdown(cancel_futures=True)
        stay.close()


def _records(
    pool: ProcessPoolExecutor, tasks: deque[Task], *, workers: int
) -> Iterator[BlockRecord]:
    running: set[Future[BlockRecord]] = set()
    while tasks or running:
        while tasks and len(running) < workers:
            running.add(pool.submit(cut_and_write, tasks.popleft()))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _killed(tasks: Sequence[Task], workers: int) -> str:
    need = max(task.need for task in tasks)
    return (
        f"workers must live until their blocks are done, but one of {workers} was killed, perhaps "
        f"for memory ({gib(need)} each, by estimate) or because the script that called has no "
        'if __name__ == "__main__": guard; what is done so far is kept in '
        f"{place_beside(tasks[0].target)}: run the same again, with fewer workers, to go on"
    )


def _leave_with(stay: Connection) -> None:
    """Let this process end when the one that spawned it closes its end, or dies."""
    Thread(target=_watch, args=(stay,), daemon=True).start()


def _watch(stay: Connection) -> None:
    with suppress(EOFError, OSError):
        stay.recv()
    os._exit(1)
