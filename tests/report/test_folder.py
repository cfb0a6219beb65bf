from report.pages import Parsed

from coreprune.report.context import Context
from coreprune.report.folder import folder_page, losing_sentences
from coreprune.report.writing import html_of

BLOCK = {
    "name": "layers.0", "activation": "gelu", "neurons_before": 32, "neurons_after": 16,
    "certificate": 2.5, "largest_seen": 0.75, "expected_error": 0.125, "relative_error": 0.25,
    "ridge": 1e-9, "condition_number": 12_000.0,
}  # fmt: skip


def text(**record):
    given = {
        "parameters_before": 2000, "parameters_after": 1500, "blocks": [BLOCK], "whole": {},
        "notes": [], "family": "bert", "method": "backward", "law": "normalised", "seed": 0,
        "widths": {}, "left_out": [], "library_version": "1", "torch_version": "2", **record,
    }  # fmt: skip
    context = Context(name="bert", kind="folder")
    return Parsed(html_of(folder_page(given, context))).text


def test_blocks_are_told_with_the_worst_of_them():
    worse = {**BLOCK, "name": "layers.1", "certificate": 5.5, "relative_error": 0.5}
    found = text(blocks=[BLOCK, worse])
    for words in ("layers.1", "64 → 32", "≤ 5.5", "at most 50.0 %", "1,500"):
        assert words in found.replace("\u202f", " ").replace("\u00a0", " "), words


def test_only_blocks_that_lose_much_are_warned_of():
    worse = {**BLOCK, "name": "layers.1", "relative_error": 0.6}
    assert "1 of 2 blocks lose more than 50%" in text(blocks=[BLOCK, worse])
    assert "blocks lose" not in text()


def test_repaired_blocks_are_not_told_to_be_repaired():
    worse = {**BLOCK, "relative_error": 0.6}
    assert "without repair" in next(losing_sentences([worse], repaired=False))
    (told,) = losing_sentences([worse], repaired=True)
    assert "did not learn from" in told
    assert "without repair" not in told


def test_blocks_that_stay_whole_are_listed_by_reason():
    found = text(whole={"layers.2": "too narrow", "layers.3": "too narrow"})
    assert "These blocks keep all their neurons." in found
    assert "layers.2, layers.3" in found
    assert "Left whole" not in text()


def test_a_folder_that_lost_nothing_says_so():
    found = text(blocks=[], parameters_after=2000)
    assert "No block lost a neuron." in found
    assert "are expected to be off" not in found


def test_notes_are_sentences():
    assert "A remark on the whole." in text(notes=["a remark on the whole"])
    assert "What else to know" not in text()


def test_how_it_was_made_names_widths_and_what_was_not_copied():
    found = text(widths={"intermediate_size": 16}, left_out=["optimizer.pt"])
    assert "intermediate_size = 16" in found
    assert "optimizer.pt" in found
    assert "not copied" not in text()
