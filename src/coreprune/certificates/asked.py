"""What a certificate is asked for."""

from dataclasses import dataclass

from torch import Generator

from coreprune.queries.bounded import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The queries, the seconds for each certificate, and what fixes the attacks."""

    space: Space
    effort: float | None
    seed: int

    def generator(self) -> Generator:
        """A fresh one, so that each part is the same whatever came before."""
        return Generator().manual_seed(self.seed)
