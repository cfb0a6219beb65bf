"""How long work reports how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many of it are done, and how many there are."""


def silent(what: str, done: int, of: int) -> None:
    """No progress is shown."""
