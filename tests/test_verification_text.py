"""What `verify` prints of numbers."""

import pytest

from coreprune.verification_text import _numbers


@pytest.mark.parametrize(
    ("attack", "bound", "words"),
    [
        (0.5, 1.0, ("0.5", "1", "2.00")),
        (-0.0, 1.0, ("0", "1", "")),
        (0.0, 0.0, ("0", "0", "")),
        (1e-9, 1.0, ("1e-09", "1", "")),
        (None, 1.0, ("", "1", "")),
        (0.5, None, ("0.5", "", "")),
    ],
)
def test_a_ratio_is_said_where_it_tells(attack, bound, words):
    assert _numbers(attack, bound) == words
