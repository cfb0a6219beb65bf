"""What a certificate is asked for."""

from dataclasses import dataclass

from torch import Generator, Tensor

from coreprune.queries.bounded import Space


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What `coreprune.certify` is asked.

    Attributes:
        space: The queries.
        effort: Seconds for each certificate; None refines once where that is quick.
        seed: Fixes the attacks.
        samples: Inputs of which it is asked whether their class can change. Shape (N, ...).
        radius: How far from a sample queries may be.
    """

    space: Space
    effort: float | None
    seed: int
    samples: Tensor | None = None
    radius: float = 0.0

    def generator(self) -> Generator:
        """A fresh one, so that each part is the same whatever came before."""
        return Generator().manual_seed(self.seed)
