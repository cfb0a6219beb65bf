"""Parts of a page between two marks, replaced by what a generator gives."""

import re
from collections.abc import Callable, Mapping

BLOCK = re.compile(r"<!-- made: (?P<name>[^>]+?) -->\n.*?<!-- /made -->", re.DOTALL)

Make = Callable[[], str]


def filled(page: str, makers: Mapping[str, Make]) -> str:
    r"""A page with all its blocks made anew.

    Args:
        page: Markdown with blocks `<!-- made: NAME -->` … `<!-- /made -->`.
        makers: What makes a block, by its name.

    Returns:
        The new text; the same where nothing has changed.

    Raises:
        KeyError: When nothing makes a block of that name.

    Example:
        >>> print(filled("a\n<!-- made: b -->\nold\n<!-- /made -->", {"b": lambda: "new"}))
        a
        <!-- made: b -->
        <BLANKLINE>
        new
        <BLANKLINE>
        <!-- /made -->
    """

    def made(block: re.Match[str]) -> str:
        name = block["name"]
        inside = makers[name]().strip()
        text = f"\n{inside}\n\n" if inside else ""
        return f"<!-- made: {name} -->\n{text}<!-- /made -->"

    return BLOCK.sub(made, page)
