"""Who cuts the blocks: this process, some on this machine, or a cluster."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.memory import check_memory
from coreprune.shells.hf_folder.processes import cut_in_processes
from coreprune.shells.hf_folder.ray_cluster import cut_on_ray
from coreprune.shells.hf_folder.records import BlockRecord
from coreprune.shells.hf_folder.task import Task, cut_and_write


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who cuts the blocks; the result does not depend on it.

    Attributes:
        workers: How many processes of this machine; 1 for this one.
        ray_address: Of a Ray cluster that does it instead, "local" for one of its own.
    """

    workers: int = 1
    ray_address: str | None = None


def check_crew(crew: Crew, *, threads: int, runs_model: bool) -> None:
    """Refuse numbers that are none, workers here and there, and what only one process can do.

    Args:
        crew: Who.
        threads: Of torch, for every block.
        runs_model: Whether the law runs the model, which one process does for all blocks.

    Raises:
        ArgumentError: With the way out.
    """
    for name, value in (("workers", crew.workers), ("threads", threads)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"{name} must be a whole number of at least 1, got {value!r}")
    if crew.ray_address is not None and crew.workers != 1:
        raise ArgumentError(
            f"workers must be left out with ray_address, got {crew.workers}: Ray knows how many "
            "blocks fit its machines"
        )
    if runs_model and crew != Crew():
        raise ArgumentError(
            "workers and ray_address must be left out with queries that run the model, which one "
            "process does for all blocks; pass threads in their place"
        )


def cut_by(crew: Crew, tasks: Sequence[Task]) -> Generator[BlockRecord, None, None]:
    """Cut and write blocks.

    Args:
        crew: Who does it.
        tasks: The blocks.

    Yields:
        The record of every block whose tensors are in their places, as they are done.

    Raises:
        ArgumentError: When the crew cannot work or was lost.
    """
    if not tasks:
        return
    if crew.ray_address is not None:
        yield from cut_on_ray(tasks, address=crew.ray_address)
        return
    workers = min(crew.workers, len(tasks))
    if workers == 1:
        yield from map(cut_and_write, tasks)
        return
    check_memory(workers, max(task.need for task in tasks))
    yield from cut_in_processes(tasks, workers=workers)
