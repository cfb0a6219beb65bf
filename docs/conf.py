"""How Sphinx makes the documentation: Markdown pages, docstrings, nothing from other hosts."""

import re
from typing import Any

import coreprune

project = "coreprune"
author = "the coreprune authors"
version = release = coreprune.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"coreprune {version}"
html_copy_source = False
myst_heading_anchors = 3
# Links to files beside docs/ are for readers of the repository; a test follows them all.
suppress_warnings = ["myst.xref_missing"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
python_use_unqualified_type_names = True
napoleon_use_ivar = True
default_role = "code"  # docstrings put code between single backticks

_CODE = re.compile(r"(`[^`]*`)")
_MARKS = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")


def read_literally(text: list[str]) -> list[str]:
    """A docstring whose formulas stay as they are: |w|, u* and x_ are no markup, blocks are code.

    Args:
        text: Its lines, sections as Google writes them.

    Returns:
        Lines of reStructuredText, sections as they were.
    """
    found: list[str] = []
    in_formula = False
    for line in text:
        indented = line.startswith("    ")
        above = next((one for one in reversed(found) if one.strip()), "")
        if indented and not found[-1].strip() and above[:1].strip() and above[-1:] != ":":
            found += ["::", ""]
            in_formula = True
        in_formula = in_formula and (indented or not line.strip())
        is_code = in_formula or line.lstrip().startswith((">>>", "..."))
        found.append(line if is_code else _escaped(line))
    return found


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(part if part.startswith("`") else _MARKS.sub(r"\\\g<0>", part) for part in parts)


def take(  # Sphinx calls it so
    _app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """What Sphinx hands over, changed in place."""
    lines[:] = read_literally(lines)


def setup(app: Any) -> None:  # noqa: ANN401
    """Read docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", take, priority=100)
