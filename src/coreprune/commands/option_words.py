"""Refusals of the library in the words of the command line."""

import re
from collections.abc import Iterable, Mapping

EXAMPLES = "example_inputs"
"""The argument whose option is called otherwise: `--input`."""

IN_NOTES = ("--method", "--queries")
"""The options that notes and reasons speak of."""

_BEFORE = (
    "^", "leave ", "leave out ", "left out with ", "given without ", "given with ", "one of ",
    "pass ", "those layers in ",
)  # fmt: skip
"""What stands before arguments that are spoken of by their bare names, which are words as well."""

_LAWS = {
    "Tokens(vocabulary=...)": "tokens:VOCABULARY",
    "Tokens": "tokens",
    "BatchNormMatched": "batch_norm",
    "Samples": "FILE.npy",
    "Sentences": "FILE.txt",
    "Gaussian": "gaussian:σ",
    "Ball": "ball:β",
    "Sphere": "sphere:β",
    "Box": "box:LOW:HIGH",
}
"""What --queries takes for the laws that refusals name."""

_SPACES = {"coreprune.Ball(radius)": "radius", "coreprune.Box(low, high)": "box"}
"""What the options that ask for a space are called in the library, and the names of these."""

_SHAPES = {
    r"pass a tensor, or a tuple of positional arguments, on the model's device$":
        "give --input the shape that it takes, once for each positional argument",
    r"(inputs of the model's type, (\w+))$": r"\1, as with --input 1x20@\2",
    r"(pass other sizes)$": r"\1, as with --input",
}  # fmt: skip
"""What to do about example inputs that do not run, and the same at a prompt."""

_OF_LAWS = r"^(?=(?:radius|deviation|low|length|vocabulary|examples|per_neuron)\b[\w ]* must )"
"""Where refusals begin that name the parameter of a law alone."""


def in_options(refusal: str, options: Iterable[str]) -> str:
    """A refusal that speaks of options where it speaks of arguments.

    Args:
        refusal: What an error of the library says.
        options: Those there are, as `--keep`, and the names of what has none, as `MODEL`.

    Returns:
        The same with options in their place.

    Example:
        >>> in_options("keep must be in (0, 1], got 2; pass keep=0.5", ["--keep"])
        '--keep must be in (0, 1], got 2; pass --keep 0.5'
    """
    names = _names(options)
    some = "|".join(sorted(names, key=len, reverse=True))
    for way, at_prompt in _SHAPES.items():
        refusal = re.sub(way, at_prompt, refusal)
    told = re.sub(rf"Budget\(({some})=\.\.\.\)", lambda found: names[found[1]], refusal)
    told = re.sub(rf"Budget\(({some})=([^()]*)\)", r"\1=\2", told)
    told = _without_laws(told, names)
    free = rf"(?<![\w(])({some})="  # not within a call
    told = re.sub(rf"{free}(?=[\d.])", lambda found: f"{names[found[1]]} ", told)
    told = re.sub(rf"{free}'(\w+)'", lambda found: f"{names[found[1]]} {found[2]}", told)
    told = re.sub(rf"{free}True\b", lambda found: names[found[1]], told)
    told = re.sub(
        rf"({'|'.join(_BEFORE)})((?:{some})(?:(?:, | and )(?:{some}))*)(?=[ ,;:]|$)",
        lambda found: found[1] + re.sub(some, lambda name: names[name[0]], found[2]),
        told,
    )
    words = "|".join(name for name in names if "_" in name)  # which nothing else is called
    return re.sub(rf"(?<![\w.-])({words})(?![\w=(])", lambda found: names[found[1]], told)


def _names(options: Iterable[str]) -> dict[str, str]:
    """What the library's arguments are called here."""
    there = list(options)
    names = {option.removeprefix("--").replace("-", "_").lower(): option for option in there}
    names[EXAMPLES] = "--input"
    if "queries" in names:  # which may be samples, where these have no option of their own
        names.setdefault("samples", names["queries"])
    if places := [option for option in there if not option.startswith("--")]:
        names |= {"source": places[0], "into": places[0]}
        names["target"] = names.get("output", places[-1])
    return names


def _without_laws(refusal: str, names: Mapping[str, str]) -> str:
    """A refusal that names laws as --queries does, and balls as --radius where that is asked."""
    for space, option in _SPACES.items():
        if option in names:
            refusal = refusal.replace(space, names[option])
    if "radius" in names or "queries" not in names:
        return refusal
    refusal = re.sub(_OF_LAWS, f"{names['queries']}: ", refusal)
    for law, words in _LAWS.items():
        call = re.escape(law) + (r"\([^()]*\)" if law.isalpha() else "")
        refusal = re.sub(
            rf"(queries=|coreprune\.|\b){call}", f"{names['queries']} {words}", refusal
        )
    return refusal
