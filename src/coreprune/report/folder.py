"""The record of a pruned Hugging Face folder as a page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coreprune.records import LOST
from coreprune.report.bound_chart import Interval, bound_chart
from coreprune.report.context import Context
from coreprune.report.layer_chart import LayerBar, layer_chart
from coreprune.report.numbers import number, percent, share
from coreprune.report.page import Figure, Page, Section, Table
from coreprune.report.parts import compared, counted, left_whole, timed, versions
from coreprune.report.sentences import Record, full


def folder_page(record: Record, context: Context) -> Page:
    """What a `FolderResult` has to say.

    Args:
        record: It, as JSON.
        context: What it does not know.

    Returns:
        The page.
    """
    left = share(record["parameters_after"], record["parameters_before"])
    return Page(
        title=f"{context.name}, {left} of its parameters",
        figures=(*_figures(record), *compared(context)),
        words=tuple(map(full, (*_answer(record), *timed(context)))),
        sections=(
            *_blocks(record["blocks"], context),
            *_left(record),
            _loading(record, context),
            _making(record, context),
        ),
    )


def _figures(record: Record) -> Iterator[Figure]:
    yield counted("Parameters", record["parameters_before"], record["parameters_after"])
    blocks = record["blocks"]
    if blocks:
        before, after = (
            sum(block[f"neurons_{when}"] for block in blocks) for when in ("before", "after")
        )
        yield counted("Neurons", before, after)
        worst = max(block["certificate"] for block in blocks)
        yield Figure(
            label="Certificate", value=f"≤\u00a0{number(worst)}", detail="any output of any block"
        )


def repair_sentences(repair: Mapping[str, Any]) -> Iterator[str]:
    """How a folder was repaired, and what its numbers are of since.

    Args:
        repair: That entry of the record.

    Yields:
        Sentences without a full stop.
    """
    loss = f"{number(repair['loss_before'])} → {number(repair['loss_after'])}"
    yield (
        f"repaired in {repair['seconds']:.0f} s ({repair['stopped']}) over {repair['law']}: loss "
        f"{loss}"
    )
    yield (
        "expected errors are of the blocks' outputs since repair, on queries drawn behind the norms"
    )


def losing_sentences(blocks: Sequence[Mapping[str, Any]], *, repaired: bool) -> Iterator[str]:
    """That a model may not work as it is, where blocks lose much.

    Args:
        blocks: Those entries of the record.
        repaired: Whether they were trained since.

    Yields:
        One sentence without a full stop, or none.
    """
    losses = [block["relative_error"] for block in blocks if block["relative_error"] > LOST]
    if not losses:
        return
    much = (
        f"{len(losses)} of {len(blocks)} blocks lose more than {LOST:.0%} of what their outputs "
        f"vary by, up to {percent(max(losses))}"
    )
    if repaired:
        yield f"{much}, on queries that repair did not learn from: judge the model by its outputs"
    else:
        yield (
            f"{much}: without repair the model may not work; try it, and keep more (--keep), train "
            "it (--repair), or choose by what the model gives (--queries tokens)"
        )


def _answer(record: Record) -> Iterator[str]:
    if record.get("repair") is not None:
        yield from repair_sentences(record["repair"])
    if record["blocks"]:
        worst = max(block["relative_error"] for block in record["blocks"])
        yield (
            f"each block's outputs are expected to be off by at most {percent(worst)} of what they "
            "vary by"
        )
        yield from losing_sentences(record["blocks"], repaired=record.get("repair") is not None)
    yield "what is proven speaks of each block alone; of the whole model nothing is"


def _blocks(blocks: list[Mapping[str, Any]], context: Context) -> Iterator[Section]:
    if not blocks:
        yield Section(title="Blocks", words=("No block lost a neuron.",))
        return
    bars = [
        LayerBar(name=one["name"], before=one["neurons_before"], after=one["neurons_after"])
        for one in blocks
    ]
    yield Section(
        title="Blocks",
        words=("Neurons of feed-forward blocks.",),
        charts=(layer_chart(bars),),
        tables=(_table(blocks),),
    )
    found = context.certified
    attack, tested = ("largest_seen", blocks) if found is None else ("attack", found["blocks"])
    intervals = [
        Interval(name=one["name"], attack=one[attack], certificate=one["certificate"])
        for one in tested
    ]
    yield Section(
        title="What is proven",
        words=(
            "No output of a block changes by more than the proven bound, whatever the model reads; "
            "the largest change is that on queries that were drawn.",
        )
        if found is None
        else tuple(map(full, _verified(found))),
        charts=(bound_chart(intervals, name="blocks", caption="Change of each block's outputs"),),
        code=context.checked_by or "",
    )


def _verified(found: Mapping[str, Any]) -> Iterator[str]:
    """What `verify` found, in sentences without a full stop."""
    if found["holds"]:
        yield f"every certificate was proven again and no attack beats it, for {found['space']}"
    else:
        yield f"NOT every certificate holds: {found['failure']}"
    yield from found["notes"]


def _table(blocks: list[Mapping[str, Any]]) -> Table:
    return Table(
        caption="What was measured and solved, block by block",
        heads=("block", "activation", "expected error", "of spread", "ridge", "condition"),
        rows=tuple(
            (
                one["name"],
                one["activation"],
                number(one["expected_error"]),
                percent(one["relative_error"]),
                number(one["ridge"]),
                number(one["condition_number"]),
            )
            for one in blocks
        ),
        texts=2,
        folded=True,
    )


def _left(record: Record) -> Iterator[Section]:
    yield from left_whole("blocks", record["whole"].items())
    if record["notes"]:
        yield Section(title="What else to know", words=tuple(map(full, record["notes"])))


def _loading(record: Record, context: Context) -> Section:
    if record["widths"] or not record["blocks"]:
        words = "An ordinary folder, read by transformers as it is."
        name = record.get("model_class", "AutoModel")  # which older records do not have
        lines = (
            f"from transformers import {name}",
            "",
            f"model = {name}.from_pretrained({context.saved!r})",
        )
        return Section(title="Loading it", words=(words,), code="\n".join(lines))
    words = (
        "Its layers have several widths, which no config can tell: coreprune reads it into an "
        "instance of the original's class."
    )
    code = f"import coreprune\n\nmodel = coreprune.load({context.saved!r}, into=model)"
    return Section(title="Loading it", words=(words,), code=code)


def _making(record: Record, context: Context) -> Section:
    widths = ", ".join(f"{name} = {width}" for name, width in record["widths"].items())
    entries = [
        ("family", record["family"]),
        ("method", record["method"]),
        ("law", record["law"]),
        ("seed", str(record["seed"])),
        *([("config", widths)] if widths else []),
        *([("not copied", ", ".join(record["left_out"]))] if record["left_out"] else []),
        *versions(record, context),
    ]
    return Section(title="How it was made", entries=tuple(entries), code=context.command or "")
