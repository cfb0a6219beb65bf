"""What nobody has put in its place yet: pages and public names, at the end of their lists."""

import inspect
import re
from pathlib import Path

import coreprune
from docs.generators.blocks import BLOCK

DOCS = Path(__file__).parents[1]


def other_pages() -> str:
    """A list of contents with the pages that the front page does not name."""
    named = set(_by_hand("index.md").splitlines())
    rest = sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in named | {"index"})
    if not rest:
        return ""
    return "\n".join(["```{toctree}", ":caption: More", ":maxdepth: 1", "", *rest, "```"])


def other_names() -> str:
    """A section with the public names that the reference does not name."""
    directive = re.compile(r"\.\. auto\w+:: (?:\S+\.)?(\w+)$", re.MULTILINE)
    known = set(directive.findall(_by_hand("reference.md")))
    rest = [name for name in coreprune.__all__ if name not in known]
    if not rest:
        return ""
    lines = [f".. {_directive(name)}:: {name}" for name in rest]
    head = ["## More", "", "```{eval-rst}", ".. currentmodule:: coreprune"]
    return "\n".join([*head, *lines, "```"])


def _by_hand(page: str) -> str:
    return BLOCK.sub("", (DOCS / page).read_text("utf-8"))


def _directive(name: str) -> str:
    thing = getattr(coreprune, name)
    if inspect.isclass(thing):
        return "autoclass"
    return "autofunction" if callable(thing) else "autodata"
