"""What `verify` prints of numbers."""

from types import SimpleNamespace

import pytest
import torch

from coreprune.commands.verification_text import _numbers, _rounding


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


@pytest.mark.parametrize(("bound", "words"), [(None, "nothing is proven"), (1.0, "up to 0.5 for")])
def test_where_nothing_is_proven_no_rounding_is_spoken_of(bound, words):
    found = SimpleNamespace(
        scope="group: no chain",
        groups=[SimpleNamespace(certificate=bound)],
        rounding=torch.tensor([0.5]),
        precision="float32",
    )
    assert words in _rounding(found)
