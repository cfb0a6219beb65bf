"""A progress bar on a terminal, nothing elsewhere."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(items: Sequence[T], description: str) -> Iterable[T]:
    """The items one after the other, with a bar on standard error when that is a terminal."""
    console = Console(stderr=True)
    return track(
        items,
        description=description,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
