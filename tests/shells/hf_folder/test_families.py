import itertools

import pytest

from coreprune.shells.hf_folder.families import FAMILIES, family_of

KINDS = {
    f"{family.name} {number}": kind
    for family in FAMILIES
    for number, kind in enumerate(family.blocks)
}


def test_every_model_type_is_in_one_row():
    types = list(itertools.chain.from_iterable(family.model_types for family in FAMILIES))
    assert len(types) == len(set(types))
    assert all(name in family_of(name).model_types for name in types)
    assert family_of("mamba") is None


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_are_consistent(kind):
    assert kind.prefix.count("{layer}") == 1
    assert not (kind.fused and kind.up)
    assert kind.is_gated == (kind.fused or kind.up is not None)
    experts = {"{expert}" in layer for layer in (kind.gate, kind.up, kind.down) if layer}
    assert len(experts) == 1
