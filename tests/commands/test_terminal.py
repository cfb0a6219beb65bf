"""What is printed can be read by programs, too."""

import json
import math

import pytest

from coreprune.commands import terminal


@pytest.fixture
def captured(capsys, monkeypatch):
    monkeypatch.setattr(terminal.out, "_file", None)
    return capsys


def test_json_has_null_for_numbers_that_it_lacks(captured):
    terminal.print_json({"a": [math.inf, (math.nan, 1.5)], "b": {"c": -math.inf}, "d": True})
    told = json.loads(captured.readouterr().out, parse_constant=pytest.fail)
    assert told == {"a": [None, [None, 1.5]], "b": {"c": None}, "d": True}


@pytest.mark.parametrize(("columns", "most"), [(None, 1000), ("40", 40)])
def test_tables_in_pipes_are_as_wide_as_columns_says(captured, monkeypatch, columns, most):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(terminal, "out", terminal.Console())
    terminal.print_table(["name"], [["words " * 60]])
    widest = max(map(len, captured.readouterr().out.splitlines()))
    assert most // 3 < widest <= most
