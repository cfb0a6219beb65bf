import pytest

from coreprune.cut_notes import lost
from coreprune.measured_error import OutputChange


@pytest.mark.parametrize(("error", "said"), [(0.9, 0), (1.1, 1), (float("inf"), 1)])
def test_outputs_that_are_mostly_lost_are_told(error, said):
    notes = [*lost(OutputChange(error=error, spread=2.0))]
    assert len(notes) == said
    assert all("may not work as it is" in note for note in notes)


@pytest.mark.parametrize("change", [None, OutputChange(error=1.0, spread=0.0)])
def test_outputs_that_do_not_vary_are_not_judged(change):
    assert not [*lost(change)]
