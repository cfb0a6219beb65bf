"""A record in, a file out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coreprune.report.context import Context, Kind
from coreprune.report.folder import folder_page
from coreprune.report.page import Page
from coreprune.report.pruned import pruned_page
from coreprune.report.writing import write_figures, write_page

PAGES: Mapping[Kind, Callable[[Mapping[str, Any], Context], Page]] = {
    "module": pruned_page,
    "onnx": pruned_page,
    "folder": folder_page,
}


def publish(
    record: Mapping[str, Any], path: str | Path, *, context: Context, figures: str | Path | None
) -> None:
    """Write a report.

    Args:
        record: What pruning gave back, as JSON.
        path: The .html file; an older one is replaced.
        context: What the record does not know.
        figures: A folder for its drawings as SVG files; None writes none.

    Raises:
        ArgumentError: When a file cannot be written.
    """
    page = PAGES[context.kind](record, context)
    write_page(page, Path(path))
    if figures is not None:
        write_figures(page, Path(figures))
