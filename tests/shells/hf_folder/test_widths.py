import pytest

from coreprune.errors import ArgumentError
from coreprune.shells.hf_folder.blocks import Block
from coreprune.shells.hf_folder.families import BlockKind
from coreprune.shells.hf_folder.widths import entries_after, widths_of


def block(name, *, layer, neurons=24, width="intermediate_size"):
    kind = BlockKind(prefix="", gate="g", down="d", norm="n", width=width)
    return Block(
        name=name, kind=kind, layer=layer, neurons=neurons, activation="relu",
        gate="g", down="d", norm="n",
    )  # fmt: skip


BLOCKS = (block("a", layer=0), block("b", layer=1), block("c", layer=1, neurons=10, width="w"))


def test_a_share_is_one_of_every_block():
    assert widths_of(BLOCKS, 0.5) == {"a": 12, "b": 12, "c": 5}
    assert widths_of(BLOCKS, 1.0) == {"a": 24, "b": 24, "c": 10}
    assert widths_of(BLOCKS, 0.001) == {"a": 1, "b": 1, "c": 1}


def test_blocks_that_a_mapping_does_not_name_stay():
    assert widths_of(BLOCKS, {"b": 0.5}) == {"a": 24, "b": 12, "c": 10}


def test_layers_narrow_the_choice():
    assert widths_of(BLOCKS, 0.5, layers=[1]) == {"a": 24, "b": 12, "c": 5}


def test_widths_are_multiples_where_something_goes():
    assert widths_of(BLOCKS, 0.5, round_to=8) == {"a": 16, "b": 16, "c": 8}
    assert widths_of(BLOCKS, 1.0, round_to=16) == {"a": 24, "b": 24, "c": 10}
    with pytest.raises(ArgumentError, match="round_to must be at most the 10 neurons of c"):
        widths_of(BLOCKS, 0.5, round_to=16)


def test_every_entry_has_one_width_or_the_config_cannot_say_it():
    assert entries_after(BLOCKS, {"a": 12, "b": 12, "c": 5}) == {"intermediate_size": 12, "w": 5}
    assert entries_after(BLOCKS, {"a": 12, "b": 24, "c": 5}) is None
