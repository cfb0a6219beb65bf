"""Options by which commands are asked for a report, and what they ask for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import typer

from coreprune.errors import ArgumentError

ReportOption = Annotated[
    Path | None, typer.Option(help="write an .html report that opens without a network")
]
FiguresOption = Annotated[
    Path | None, typer.Option(help="a folder for the report's drawings as .svg files")
]
ScoreOption = Annotated[
    str | None,
    typer.Option(
        help="package.module:function that gives a model's score, for the report; "
        "of .onnx files it gets an ONNX Runtime session"
    ),
]

PAGES = (".html", ".htm")
"""What names of reports end in, so that none takes the place of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWish:
    """The report that a command is asked for.

    Attributes:
        path: The file; None for no report.
        figures: A folder for the drawings; None for none.
        score: The name of a function of a model; None for none.
    """

    path: Path | None
    figures: Path | None
    score: str | None = None

    def checked(self) -> Self:
        """The same, refused early where it could not be written after a long run.

        Raises:
            BadParameter: When parts of a report are asked for without one.
            ArgumentError: When its folder is missing, or its name is not that of a page.
        """
        if self.path is None and (self.figures or self.score):
            raise typer.BadParameter("--figures and --score go with --report FILE.html")
        for place in (self.path, self.figures):
            if place is not None and not place.parent.is_dir():
                raise ArgumentError(f"report {place} needs a folder that exists; create it first")
        if self.path is not None and self.path.is_dir():
            raise ArgumentError(f"report {self.path} is a folder; name a file in it")
        if self.path is not None and self.path.suffix.lower() not in PAGES:
            raise ArgumentError(f"report {self.path} must end in .html or .htm; name such a file")
        return self
