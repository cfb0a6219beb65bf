"""The record of a pruned network as a page."""

from collections.abc import Iterator

from coreprune.report.context import Context
from coreprune.report.curve_chart import Chosen, curve_chart
from coreprune.report.layer_chart import LayerBar, layer_chart
from coreprune.report.loading import loading_code
from coreprune.report.numbers import (
    BYTES,
    OPERATIONS,
    number,
    pair,
    percent,
    share,
)
from coreprune.report.page import Figure, Page, Section, Table
from coreprune.report.parts import compared, counted, left_whole, timed, versions
from coreprune.report.proven import proven_section
from coreprune.report.sentences import Record, full, is_of_outputs, is_of_samples, sentences


def pruned_page(record: Record, context: Context) -> Page:
    """What a `PruneResult` has to say.

    Args:
        record: It, as JSON.
        context: What it does not know.

    Returns:
        The page.
    """
    left = share(record["parameters_after"], record["parameters_before"])
    return Page(
        title=f"{context.name}, {left} of its parameters",
        figures=tuple(_figures(record, context)),
        words=tuple(map(full, _answer(record, context))),
        sections=(
            _curve(record),
            _layers(record),
            proven_section(record, context),
            *_left(record),
            _loading(context),
            _making(record, context),
        ),
    )


def _figures(record: Record, context: Context) -> Iterator[Figure]:
    yield counted("Parameters", record["parameters_before"], record["parameters_after"])
    for label, key, units in (("Size", "bytes", BYTES), ("Operations", "flops", OPERATIONS)):
        if f"{key}_before" in record:
            before, after = record[f"{key}_before"], record[f"{key}_after"]
            yield Figure(label=label, value=share(after, before), detail=pair(before, after, units))
    yield from compared(context)
    yield _certificate(record)


def _certificate(record: Record) -> Figure:
    bound = record["certificate"]
    if bound is not None:
        return Figure(
            label="Certificate",
            value=f"≤\u00a0{number(bound)}",
            detail=f"any output, inputs of norm\u00a0≤\u00a0{record['certificate_radius']:.4g}",
        )
    alone = any(group["certificate"] is not None for group in record["groups"])
    detail = "of the whole network; groups have their own" if alone else "nothing is proven"
    return Figure(label="Certificate", value="none", detail=detail)


def _answer(record: Record, context: Context) -> Iterator[str]:
    yield from sentences(record)
    yield from (note for note in record["notes"] if not _is_of_layer(note, record))
    yield from timed(context)


def _is_of_layer(note: str, record: Record) -> bool:
    """Whether a note speaks of one layer, whose name it begins with."""
    return note.partition(": ")[0] in {group["name"] for group in record["groups"]}


def _curve(record: Record) -> Section:
    points = record.get("curve", [])
    title = "Size against error"
    if not points:
        return Section(title=title, words=(full(_without_curve(record)),))
    chosen = Chosen(
        size=record["parameters_after"] / max(1, record["parameters_before"]),
        expected=record["expected_error"],
        measured=record["measured_error"],
        spread=record["output_spread"],
    )
    table = Table(
        caption=f"All {len(points)} sizes",
        heads=("parameters", "operations", "bytes", "neurons", "expected error"),
        rows=tuple(
            (
                *(percent(point[key]) for key in ("parameters", "flops", "bytes", "neurons")),
                number(point["expected_error"]),
            )
            for point in points
        ),
        texts=0,
        folded=True,
    )
    return Section(
        title=title,
        words=tuple(map(full, _of_curve(record))),
        charts=(curve_chart(points, chosen),),
        tables=(table,),
    )


def _of_curve(record: Record) -> Iterator[str]:
    """What the drawing shows."""
    dots = "every dot is a network that a budget of this run could have given; the expected error"
    if not is_of_outputs(record):
        yield (
            f"{dots} is that of what reads the layers, in its units and not in those of the "
            "outputs, which have no derivatives: what was measured of them has no place here"
        )
        return
    yield f"{dots} is the root mean square change of the outputs over the law, to first order"
    on = (
        "the samples that chose the neurons"
        if is_of_samples(record)
        else "queries that were not planned with"
    )
    yield (
        "the filled diamond is the network that was cut, the open one what was measured of it on "
        f"{on}"
    )
    if record["repair"] is not None:
        yield "it was repaired since: what was measured speaks of it as it is given back"


def _without_curve(record: Record) -> str:
    if record["method"] == "lossless":
        return "only what the outputs do not depend on was removed, so no error was traded for size"
    if "curve" not in record:
        return (
            "the record in the file leaves the curve out, to keep the file small; "
            "the report that prune writes has it"
        )
    return f'the method "{record["method"]}" prices no sizes, so there is no curve'


def _layers(record: Record) -> Section:
    groups = record["groups"]
    bars = [
        LayerBar(name=g["name"], before=g["neurons_before"], after=g["neurons_after"])
        for g in groups
    ]
    if not bars:
        return Section(title="Layers", words=("No layer lost a neuron.",))
    return Section(
        title="Layers",
        words=("Neurons of linear layers, channels of convolutions.",),
        charts=(layer_chart(bars),),
        tables=(_group_table(record),),
    )


_COLUMNS = (
    ("expected_error", "error at readers"),
    ("output_error", "error of outputs"),
    ("guaranteed_error", "guaranteed error"),
    ("num_draws", "draws"),
    ("total_sensitivity", "total sensitivity"),
    ("query_radius", "radius"),
    ("ridge", "ridge"),
    ("condition_number", "condition"),
)


def _group_table(record: Record) -> Table:
    """What is known of the groups; columns without an entry are left out."""
    groups = record["groups"]
    columns = [
        (key, head)
        for key, head in _COLUMNS
        if any(group[key] is not None for group in groups)
        and (key != "output_error" or is_of_outputs(record))
    ]
    return Table(
        caption="What was measured and solved, layer by layer",
        heads=("layer", "cut along", "read by", *(head for _, head in columns)),
        rows=tuple(
            (
                group["name"],
                ", ".join(group["passengers"]),
                ", ".join(group["consumers"]),
                *(number(group[key]) for key, _ in columns),
            )
            for group in groups
        ),
        texts=3,
        folded=True,
    )


def _left(record: Record) -> Iterator[Section]:
    reasons = ((entry["name"], entry["reason"]) for entry in record["whole"])
    yield from left_whole("layers", reasons)
    notes = tuple(note for note in record["notes"] if _is_of_layer(note, record))
    if notes:
        table = Table(
            caption="Layer by layer",
            heads=("layer", "what else to know"),
            rows=tuple((name, words) for name, _, words in (n.partition(": ") for n in notes)),
            texts=2,
        )
        yield Section(title="Remarks", tables=(table,))


def _loading(context: Context) -> Section:
    if context.loading:
        return Section(title="Loading it", words=(context.loading,))
    words = {
        "module": "An ordinary module of the same class; its files hold tensors and JSON, no code.",
        "onnx": "An ordinary ONNX file with the inputs and outputs of the original.",
        "folder": "An ordinary folder, read by transformers as it is.",
    }
    return Section(title="Loading it", words=(words[context.kind],), code=loading_code(context))


def _making(record: Record, context: Context) -> Section:
    entries = [
        ("method", _method(record)),
        ("law", record["law"]),
        ("inputs", record["query_space"]),
        ("seed", str(record["seed"])),
        ("original", f"SHA-256 {record['original_hash']}"),
        *versions(record, context),
    ]
    return Section(title="How it was made", entries=tuple(entries), code=context.command or "")


def _method(record: Record) -> str:
    if record["method"] == "lossless":
        return "lossless"
    return f"{record['method']}, {record['order'].replace('_', ' ')}"
