"""What `coreprune prune` prints says in whose units errors are, and over which law."""

from dataclasses import replace
from pathlib import Path

from report.records import RESULT, RESULTS

from coreprune.commands.prune import _print_summary


def printed(result, capsys):
    _print_summary(result, Path("small"))
    return capsys.readouterr().out


def test_errors_of_outputs_are_told_as_theirs(capsys):
    assert f"errors of the outputs, in their units, over {RESULT.law}" in printed(RESULT, capsys)


def test_errors_of_readers_are_not_and_what_was_measured_is_there(capsys):
    out = printed(RESULTS["no derivatives"], capsys)
    told = "errors in the units of what reads the layers, not of the outputs, over "
    assert told + RESULT.law in out
    assert "on queries of the law the outputs are off by 0.456" in out


def test_where_no_layer_has_an_error_none_is_explained(capsys):
    out = printed(RESULTS["lossless"], capsys)
    assert "errors of the outputs" not in out
    assert "errors in the units" not in out


def test_notes_speak_of_options(capsys):
    result = replace(RESULT, notes=("x was guessed; pass example_inputs of your size",))
    assert "note: x was guessed; pass --input of your size" in printed(result, capsys)
