"""What is proven, and what an attack found."""

from collections.abc import Iterator, Mapping
from typing import Any

from coreprune.report.bound_chart import Interval, bound_chart
from coreprune.report.context import Context
from coreprune.report.numbers import count, number, percent
from coreprune.report.page import Chart, Section, Table
from coreprune.report.sentences import Record, full, why_not

FOLDED = 8
"""Rows of certificates that are shown; more are folded."""

OUTPUTS = 25
"""Outputs that are drawn, those of the largest certificates first."""


def proven_section(record: Record, context: Context) -> Section:
    """Certificates of the record, beside those proven anew and attacked where that was done.

    Args:
        record: Of a `PruneResult`, as JSON.
        context: With what `verify` found, if it ran.

    Returns:
        The section.
    """
    stored = tuple(_stored(record))
    found = context.certified
    if found is None:
        words = [*_scope(record), "to prove it anew and have it attacked, run coreprune verify"]
        return Section(title="What is proven", words=tuple(map(full, words)), tables=stored)
    return Section(
        title="What is proven",
        words=tuple(map(full, _words(found))),
        charts=tuple(_charts(found)),
        tables=(*_claims(found), *(() if found.get("stored") else stored)),
        code=context.checked_by or "",
    )


def _scope(record: Record) -> Iterator[str]:
    if record["certificate_scope"] == "network":
        yield "the certificate speaks of the whole network as it is given back"
    else:
        yield f"what is proven speaks of each group alone: {why_not(record)}"


def _words(found: Mapping[str, Any]) -> Iterator[str]:
    """What `verify` found, in sentences."""
    verdict = "no attack beats its certificate"
    if not found["holds"]:
        verdict = "NOT every certificate holds: see the tables"
    yield f"proven anew and attacked, for {found['space']}: {verdict}"
    if found["scope"] != "network":
        yield f"what is proven speaks of each group alone: {found['scope'].removeprefix('group: ')}"
    yield "the largest change there is lies between what was found and what is proven"
    if len(found["certificate"]) > OUTPUTS and found["scope"] == "network":
        yield f"drawn are the {OUTPUTS} outputs of the largest certificates"
    if found["vacuous"]:
        yield found["vacuous"]
    if found["unchanged"] is not None:
        yield (
            f"{percent(found['unchanged'])} of the samples provably keep their class in both "
            "networks"
        )
    yield from found.get("notes", ())


def _charts(found: Mapping[str, Any]) -> Iterator[Chart]:
    if found["scope"] == "network":
        pairs = list(enumerate(zip(found["attack"], found["certificate"], strict=True)))
        pairs.sort(key=lambda entry: -(entry[1][1] if entry[1][1] is not None else float("inf")))
        outputs = [
            Interval(name=f"output {place}", attack=attack, certificate=bound)
            for place, (attack, bound) in pairs[:OUTPUTS]
        ]
        yield bound_chart(outputs, name="outputs", caption="Change of each output")
    groups = [
        Interval(
            name=group["name"],
            attack=group["attack"],
            certificate=group["certificate"],
            reason=group["reason"],
        )
        for group in found["groups"]
    ]
    if any(one.attack is not None or one.certificate is not None for one in groups):
        yield bound_chart(
            groups,
            name="groups",
            caption="Change of what reads each group, with all that is cut before it",
        )


def _claims(found: Mapping[str, Any]) -> Iterator[Table]:
    """The stored certificates put to the test, and groups of which something is not known."""
    if found.get("stored"):
        yield Table(
            caption="Certificates out of the saved record, attacked",
            heads=("stored", "holds", "radius", "attack", "certificate", "proven now"),
            rows=tuple(
                (
                    claim["name"],
                    _holds(claim["holds"]),
                    number(claim["radius"]),
                    number(claim["attack"]),
                    number(claim["certificate"]),
                    number(claim["proven"]),
                )
                for claim in found["stored"]
            ),
            texts=2,
        )
    unknown = [group for group in found["groups"] if group["reason"]]
    if unknown:
        yield Table(
            caption=f"What is not known of {count(len(unknown))} groups, and why",
            heads=("group", "reason"),
            rows=tuple((group["name"], group["reason"]) for group in unknown),
            texts=2,
        )


def _holds(holds: bool | None) -> str:
    if holds is None:
        return "not told by the two networks alone"
    return "yes" if holds else "NO"


def _stored(record: Record) -> Iterator[Table]:
    """The certificates of the groups."""
    groups = [group for group in record["groups"] if group["certificate"] is not None]
    if groups:
        yield Table(
            caption="No input of a reader changes by more than the certificate, by this cut alone",
            heads=("group", "for every", "certificate"),
            rows=tuple(
                (
                    group["name"],
                    group["certificate_space"] or f"input of norm at most {group['query_radius']}",
                    number(group["certificate"]),
                )
                for group in groups
            ),
            texts=2,
            folded=len(groups) > FOLDED,
        )
