"""Layers that stay whole do not bury those that can be cut."""

from coreprune.commands.whole_layers import MANY, whole_layers


def test_few_layers_have_rows_and_many_a_sentence():
    few = [(f"few{i}", "too narrow") for i in range(MANY)]
    many = [(f"many{i}", "rides along") for i in range(MANY + 1)]
    found = whole_layers([*many[:2], *few, *many[2:]])
    assert found.rows == tuple(few)
    assert found.sentences == ("4 stay whole (rides along): many0, many1, many2, many3",)


def test_reasons_speak_of_options():
    (row,) = whole_layers([("a", "wide; method='magnitude' cuts it")]).rows
    assert row == ("a", "wide; --method magnitude cuts it")
