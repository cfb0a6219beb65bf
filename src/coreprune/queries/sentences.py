"""Sentences that the user has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coreprune.errors import ArgumentError, FileFormatError


@dataclass(frozen=True, slots=True)
class Sentences:
    """The empirical law of texts that a model reads through its own tokenizer.

    Attributes:
        source: The sentences, or a UTF-8 file with one a line. Empty lines are left out.

    Example:
        >>> Sentences(["A plane is taking off.", "", "A man plays a flute."]).words
        'the 2 sentences given'
    """

    source: str | Path | Sequence[str]

    def __post_init__(self) -> None:
        given = self.source
        if isinstance(given, str | Path):
            return
        if not isinstance(given, Sequence) or not all(isinstance(line, str) for line in given):
            raise ArgumentError(
                "Sentences takes a list of strings or the path of a file with one a line, "
                f"got {type(given).__name__}"
            )

    def lines(self) -> tuple[str, ...]:
        """The sentences in order.

        Raises:
            ArgumentError: When there is none.
            FileFormatError: When the file cannot be read as text.
        """
        given = self.source
        found = _read(Path(given)) if isinstance(given, str | Path) else given
        lines = tuple(line.strip() for line in found if line.strip())
        if not lines:
            raise ArgumentError("sentences must hold at least one line that is not empty, got none")
        return lines

    @property
    def words(self) -> str:
        """The law, for people."""
        return f"the {len(self.lines()):,} sentences given"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        raise FileFormatError(
            f"{path} cannot be read as sentences ({reason}); pass a UTF-8 text with one a line"
        ) from reason
