"""Templates filled in: everything from a record is escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@cache
def _environment() -> "Environment":
    # Most of those who prune ask for no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("coreprune.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def filled(template: str, **values: Any) -> "Markup":  # noqa: ANN401
    """A template with values in it."""
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(**values))


def text_of(template: str) -> "Markup":
    """A style or script as it is."""
    return filled(template)
