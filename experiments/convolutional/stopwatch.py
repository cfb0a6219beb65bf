"""Seconds by what the library says it is doing, those of interrupted runs included."""

import json
import time
from pathlib import Path


class Stopwatch:
    """To be passed as `progress=`; what was said last takes the time until something else is said.

    Args:
        lasting: What an interrupted run need not do again: its seconds count.
        path: Where these are kept from run to run; None keeps none.
    """

    def __init__(self, lasting: str = "", path: Path | None = None) -> None:
        self.lasting, self.path = lasting, path
        self.seconds: dict[str, float] = {}
        if path is not None and path.exists():
            self.seconds = json.loads(path.read_text())
        self._what, self._since = "", time.perf_counter()

    def __call__(self, what: str, done: float, of: float) -> None:  # noqa: ARG002
        """Note the time that has passed."""
        now = time.perf_counter()
        if self._what:
            self.seconds[self._what] = self.seconds.get(self._what, 0.0) + now - self._since
        self._what, self._since = what, now
        if self.path is not None and self.lasting in self.seconds:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({self.lasting: self.seconds[self.lasting]}))

    def stop(self) -> dict[str, float]:
        """The seconds by what was said, now that it is over."""
        self("", 1, 1)
        return {what: round(seconds, 1) for what, seconds in self.seconds.items()}
