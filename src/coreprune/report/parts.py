"""Parts that the pages of networks and of folders share."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from coreprune.report.context import Context
from coreprune.report.numbers import SECONDS, count, pair, score, share
from coreprune.report.page import Figure, Section
from coreprune.report.sentences import Record


def counted(label: str, before: int, after: int) -> Figure:
    """The share that is left of what is counted."""
    return Figure(
        label=label, value=share(after, before), detail=f"{count(before)} → {count(after)}"
    )


def compared(context: Context) -> Iterator[Figure]:
    """The figures of a comparison, if there was one."""
    found = context.comparison
    if found is None:
        return
    before, after = found["seconds_before"], found["seconds_after"]
    yield Figure(label="Latency", value=share(after, before), detail=pair(before, after, SECONDS))
    if found["score_before"] is not None:
        scores = score(found["score_before"]), score(found["score_after"])
        yield Figure(label="Score", value=scores[1], detail=" → ".join(scores))


def timed(context: Context) -> Iterator[str]:
    """What a latency speaks of."""
    found = context.comparison
    if found is not None:
        yield (
            f"latency is the median of {count(found['calls'])} calls of each network, taken in "
            f"turns ({found['machine']}; inputs {found['inputs']})"
        )


def left_whole(kind: str, reasons: Iterable[tuple[str, str]]) -> Iterator[Section]:
    """What keeps all its neurons, by reasons, if anything does.

    Args:
        kind: What these are, in the plural.
        reasons: A name and a reason each.

    Yields:
        One section, or none.
    """
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons:
        by_reason[reason].append(name)
    if by_reason:
        yield Section(
            title="Left whole",
            words=(f"These {kind} keep all their neurons.",),
            entries=tuple((reason, ", ".join(names)) for reason, names in by_reason.items()),
        )


def versions(record: Record, context: Context) -> Iterator[tuple[str, str]]:
    """The programs that made it."""
    known = dict(context.versions)
    if "library_version" in record:
        known = {"coreprune": record["library_version"]}
    if known:
        yield "versions", ", ".join(f"{name} {version}" for name, version in known.items())
