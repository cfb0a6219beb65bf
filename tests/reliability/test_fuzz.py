import json
import random

import pytest

from reliability.fuzz import fuzz
from reliability.mutations import MUTATIONS
from reliability.readers import READERS

MUTANTS = 25


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_refused(reader, tmp_path):
    outcome = fuzz(reader, tmp_path, seeds=range(MUTANTS))
    assert outcome.fault is None
    assert sum(outcome.outcomes.values()) == MUTANTS
    assert outcome.outcomes["FileFormatError"] > MUTANTS / 2


@pytest.mark.parametrize("reader", READERS)
def test_whole_files_are_read(reader, tmp_path):
    READERS[reader].write(tmp_path)
    READERS[reader].read(tmp_path)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_damage_is_the_same_for_the_same_seed(mutation):
    data = json.dumps({"a": [1, 2, {"b": "text"}], "c": None}).encode()
    damaged = [mutation(data, random.Random(seed)) for seed in range(50)]
    assert damaged == [mutation(data, random.Random(seed)) for seed in range(50)]
    assert len(set(damaged)) > 10
