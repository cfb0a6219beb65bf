"""What a record says in sentences: the command line prints them, a report shows them."""

from collections.abc import Iterator, Mapping
from typing import Any

from coreprune.records import FEW, SAMPLES, UNCHANGED
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
    if UNCHANGED in record["notes"]:
        return  # what would be measured and proven is rounding of the same numbers
    if record["measured_error"] is not None:
        yield _measured(record)
    yield proven(record)


def is_of_outputs(record: Record) -> bool:
    """Whether expected errors are in the units of the outputs, not of what reads the layers."""
    return record["expected_error"] is not None


def has_errors(record: Record) -> bool:
    """Whether layers have expected errors."""
    return any(group["output_error"] is not None for group in record["groups"])


def is_of_samples(record: Record) -> bool:
    """Whether the law is inputs of the user, so that what is measured was planned with."""
    return str(record["law"]).startswith(SAMPLES)


def _measured(record: Record) -> str:
    """How far the outputs are off, on what, and how far to trust that."""
    where, beyond = "on queries of the law", ""
    if is_of_samples(record):
        use = "chose the neurons" if has_errors(record) else "repair learned from"
        where = f"on the samples that {use}, not held out,"
        if any(note.startswith(FEW) for note in record["notes"]):
            beyond = "; with fewer samples than neurons this says nothing beyond them"
    spread = record["output_spread"]
    own = f"their own spread is {number(spread)}" if spread else "they do not vary there"
    return (
        f"{where} the outputs are off by {number(record['measured_error'])} "
        f"(root mean square); {own}{beyond}"
    )


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
