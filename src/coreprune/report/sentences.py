"""What a record says in sentences: the command line prints them, a report shows them."""

from collections.abc import Iterator, Mapping
from typing import Any

from coreprune.report.numbers import number

Record = Mapping[str, Any]


def sentences(record: Record) -> Iterator[str]:
    """How it was repaired, how far off it is, and what is proven of that.

    Args:
        record: Of a `PruneResult`, as JSON.

    Yields:
        Sentences without a full stop.
    """
    repair = record["repair"]
    if repair is not None:
        loss = f"{number(repair['loss_before'])} → {number(repair['loss_after'])}"
        yield f"repaired in {repair['seconds']:.0f} s ({repair['stopped']}): loss {loss}"
    if record["measured_error"] is not None and record["expected_error"] is not None:
        yield (
            f"on queries of the law the outputs are off by {number(record['measured_error'])} "
            f"(root mean square); their own spread is {number(record['output_spread'])}"
        )
    yield proven(record)


def proven(record: Record) -> str:
    """The certificate of the whole network and its scope, in a sentence without a full stop."""
    if record["certificate"] is None:
        return f"nothing is proven of the outputs; {why_not(record)}"
    return (
        f"proven: no output is off by more than {number(record['certificate'])} for any input of "
        f"norm at most {record['certificate_radius']:.4g}; planned for: {record['query_space']}"
    )


def why_not(record: Record) -> str:
    """Why nothing is proven of the whole network."""
    return str(record["certificate_scope"]).removeprefix("group: ")


def full(sentence: str) -> str:
    """A sentence as print wants it: a capital letter, a full stop."""
    return f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}."
