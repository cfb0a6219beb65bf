"""A page as one file, and its drawings as files of their own."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from coreprune.errors import ArgumentError
from coreprune.report.page import NARROW, WIDE, Page
from coreprune.report.rendering import filled, text_of

_SPACE = ' xmlns="http://www.w3.org/2000/svg"'


def html_of(page: Page) -> str:
    """The whole page; its policy lets a browser load nothing and run no other script."""
    style, script = text_of("chart.css") + text_of("page.css"), text_of("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return filled(
        "page.html",
        page=page,
        policy=policy,
        style=style,
        script=script,
        wide=WIDE,
        narrow=NARROW,
    )


def write_page(page: Page, path: Path) -> None:
    """Write a page, or nothing at all.

    Args:
        page: The report.
        path: The file; an older one is replaced.

    Raises:
        ArgumentError: When it cannot be written.
    """
    _write(path, html_of(page))


def write_figures(page: Page, directory: Path) -> tuple[Path, ...]:
    """Write the drawings of a page as SVG files that need nothing else.

    Args:
        page: The report.
        directory: Made where it is missing; older drawings in it are replaced.

    Returns:
        The files.

    Raises:
        ArgumentError: When they cannot be written.
    """
    try:
        directory.mkdir(exist_ok=True)
    except OSError as reason:
        raise ArgumentError(_unwritable("figures", directory, reason)) from reason
    return tuple(_written(page, directory))


def _written(page: Page, directory: Path) -> Iterator[Path]:
    style = text_of("chart.css")
    for section in page.sections:
        for chart in section.charts:
            head, _, rest = str(chart.draw(WIDE)).partition(">")  # no longer markup, as it is torn
            head = head.replace("<svg", f"<svg{_SPACE}", 1)
            path = directory / f"{chart.name}.svg"
            _write(path, f"{head}>\n<style>\n{style}\n</style>{rest}\n")
            yield path


def _write(path: Path, text: str) -> None:
    staging = path.parent / f".coreprune-{uuid4().hex}"
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    except OSError as reason:
        raise ArgumentError(_unwritable("report", path, reason)) from reason
    finally:
        if staging.exists():
            staging.unlink()


def _unwritable(argument: str, path: Path, reason: OSError) -> str:
    return (
        f"{argument} {path} cannot be written ({reason.strerror}); "
        "name a place in a folder that exists"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
