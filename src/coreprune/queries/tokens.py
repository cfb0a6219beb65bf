"""Random tokens."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from coreprune.errors import ArgumentError

SHORTEST, LONGEST = 4, 32
"""The lengths of sequences, where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Sequences of independent random tokens, all alike probable.

    Attributes:
        vocabulary: The ids are below this; None for the model's own number of tokens.
        length: Of every sequence; None for the example's, or where there is none for lengths drawn
            between `SHORTEST` and `LONGEST`.

    Example:
        >>> Tokens(vocabulary=100).sample((2, 5), generator=Generator()).shape
        torch.Size([2, 5])
    """

    vocabulary: int | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        for name in ("vocabulary", "length"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < 1
            ):
                raise ArgumentError(
                    f"{name} must be a whole number of at least 1, got {value!r}; "
                    "leave it out for the model's own"
                )

    @property
    def words(self) -> str:
        """The law, for people."""
        some = "" if self.vocabulary is None else f" below {self.vocabulary}"
        long = "" if self.length is None else f", {self.length} in a sequence"
        return f"random tokens{some}{long}"

    def sample(self, shape: tuple[int, ...], *, generator: Generator) -> Tensor:
        """Draw ids.

        Args:
            shape: Of what is wanted.
            generator: The source of randomness, on the CPU.

        Returns:
            Whole numbers. Shape as asked for.

        Raises:
            ArgumentError: When nobody said how many tokens there are.
        """
        if self.vocabulary is None:
            raise ArgumentError("Tokens needs vocabulary, the number of the model's tokens")
        return torch.randint(self.vocabulary, shape, generator=generator)
