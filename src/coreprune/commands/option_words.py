"""Refusals of the library in the words of the command line."""

import re
from collections.abc import Iterable

EXAMPLES = "example_inputs"
"""The argument whose option is called otherwise: `--input`."""


def in_options(refusal: str, options: Iterable[str]) -> str:
    """A refusal that speaks of options where it speaks of arguments.

    It begins with an argument's name, or gives arguments numbers, as in `pass keep=0.5`.

    Args:
        refusal: What an error of the library says.
        options: Those there are, as `--keep`.

    Returns:
        The same with options in their place.

    Example:
        >>> in_options("keep must be in (0, 1], got 2; pass keep=0.5", ["--keep"])
        '--keep must be in (0, 1], got 2; pass --keep 0.5'
    """
    names = {option.removeprefix("--").replace("-", "_"): option for option in options}
    names[EXAMPLES] = "--input"
    if "queries" in names:  # which may be samples, where these have no option of their own
        names.setdefault("samples", names["queries"])
    some = "|".join(sorted(names, key=len, reverse=True))
    free = rf"(?<![\w(])({some})="  # not within a call
    told = re.sub(rf"{free}(?=[\d.]+)", lambda found: f"{names[found[1]]} ", refusal)
    told = re.sub(rf"{free}True\b", lambda found: names[found[1]], told)
    told = re.sub(rf"^({some})(?= )", lambda found: names[found[1]], told)
    return re.sub(rf"\b{EXAMPLES}\b", names[EXAMPLES], told)
