"""Write what an experiment measured: results.json, figure.svg and the README's results block."""

import json
from pathlib import Path
from typing import Any, Protocol

BEGIN, END = "<!-- results -->", "<!-- /results -->"


class Experiment(Protocol):
    """What `experiments/NAME/run.py` offers."""

    def run(self, *, quick: bool) -> dict[str, Any]:
        """Measure; everything returned can be written as JSON."""
        ...

    def table(self, results: dict[str, Any]) -> str:
        """The results in Markdown."""
        ...

    def draw(self, results: dict[str, Any], path: Path) -> None:
        """The results as an SVG figure."""
        ...


def publish(
    experiment: Experiment, results: dict[str, Any], *, template: Path, folder: Path
) -> None:
    """Write the results, the figure and the README into a folder.

    The table and the figure are made from the JSON as it will be read again, so they can be made
    from the file alone.

    Args:
        experiment: Makes the table and the figure.
        results: What its `run` returned.
        template: The README whose results block is replaced.
        folder: Where the three files go; created when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n")
    written = json.loads(text)
    experiment.draw(written, folder / "figure.svg")
    readme = with_results(template.read_text(), experiment.table(written))
    (folder / "README.md").write_text(readme)


def with_results(readme: str, table: str) -> str:
    r"""The README with its results block replaced.

    Args:
        readme: Text with the two marker lines.
        table: What goes between them.

    Returns:
        The new text.

    Raises:
        ValueError: When the text lacks a marker.

    Example:
        >>> print(with_results("a\n<!-- results -->\nold\n<!-- /results -->", "new"))
        a
        <!-- results -->
        <BLANKLINE>
        new
        <BLANKLINE>
        <!-- /results -->
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"
