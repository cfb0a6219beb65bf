"""Inputs that the user has: a tensor, an array or anything that yields batches."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coreprune.errors import ArgumentError
from coreprune.records import SAMPLES

BATCH = 256
"""Rows of a tensor or array in one call."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The empirical law of inputs that the user has. Labels are not needed and not looked at.

    Attributes:
        data: A tensor or array of inputs, its first axis the examples; or an iterable of batches,
            such as a DataLoader, each an input, a sequence that begins with the positional inputs
            (what follows them, labels say, is left out), or a mapping of keyword inputs.

    Example:
        >>> [args[0].shape for args, _ in Samples(torch.zeros(300, 4)).batches(positional=1)]
        [torch.Size([256, 4]), torch.Size([44, 4])]
    """

    data: Tensor | np.ndarray | Iterable[Any]

    def __post_init__(self) -> None:
        if isinstance(self.data, Iterator):
            raise ArgumentError(
                "Samples needs data that can be read more than once, got an iterator; "
                "pass a tensor, an array, a list of batches or a DataLoader"
            )
        if isinstance(self.data, str | bytes | Mapping) or not isinstance(
            self.data, Tensor | np.ndarray | Iterable
        ):
            raise ArgumentError(
                "Samples takes a tensor, an array or an iterable of batches, "
                f"got {type(self.data).__name__}"
            )

    @property
    def words(self) -> str:
        """The law, for people."""
        return SAMPLES

    def batches(self, *, positional: int) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Positional and keyword inputs, batch by batch, once through the data.

        Args:
            positional: How many positional inputs the network takes.

        Yields:
            Arguments of the network, arrays turned into tensors.

        Raises:
            ArgumentError: When there is nothing in the data, or an input holds NaN or infinity.
        """
        count = 0
        for batch in self._raw():
            count += 1
            args, kwargs = _arguments(batch, positional)
            for value in (*args, *kwargs.values()):
                if isinstance(value, Tensor) and not value.isfinite().all():
                    raise ArgumentError(
                        f"samples hold NaN or infinite entries in batch {count}; remove those rows"
                    )
            yield args, kwargs
        if not count:
            raise ArgumentError("samples must hold at least one batch, got none")

    def parted(self, batches: int) -> tuple["Samples", "Samples"]:
        """Two laws that share no input, where data comes in the same order each time.

        Args:
            batches: In how many batches the first law gives its inputs: of a tensor or array an
                eighth of the rows at most, of an iterable its first batches.

        Returns:
            The laws.

        Raises:
            ArgumentError: When nothing is left for the second.
        """
        if isinstance(self.data, Tensor | np.ndarray):
            rows = torch.as_tensor(self.data)
            apart = max(batches, min(batches * BATCH, len(rows) // 8))
            if len(rows) > apart:
                return Samples(rows[:apart].tensor_split(batches)), Samples(rows[apart:])
            found = f"{len(rows)} rows"
        else:
            count = sum(1 for _ in itertools.islice(self.data, batches + 1))
            if count > batches:
                first, rest = slice(batches), slice(batches, None)
                return Samples(_Part(self.data, first)), Samples(_Part(self.data, rest))
            found = f"{count} batches"
        raise ArgumentError(
            f"samples must be more than the {batches} batches that are held back, got {found}; "
            "pass more, or in Python hold fewer back with Repair(held_back=1)"
        )

    def _raw(self) -> Iterable[Any]:
        if isinstance(self.data, Tensor | np.ndarray):
            rows = torch.as_tensor(self.data)
            if rows.ndim == 0 or not rows.numel():
                raise ArgumentError(
                    f"samples must hold at least one row, got shape {tuple(rows.shape)}"
                )
            return torch.split(rows, BATCH)
        return self.data


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Some of the batches of an iterable, as often as they are asked for."""

    data: Iterable[Any]
    bounds: slice

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.data, self.bounds.start, self.bounds.stop)


def _arguments(batch: Any, positional: int) -> tuple[tuple[Any, ...], dict[str, Any]]:  # noqa: ANN401
    if isinstance(batch, Mapping):
        return (), {str(name): _tensor(value) for name, value in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
        return tuple(_tensor(value) for value in batch[: max(1, positional)]), {}
    return (_tensor(batch),), {}


def _tensor(value: Any) -> Any:  # noqa: ANN401
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
